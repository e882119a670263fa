#!lua flags=allow-oom
-- Gives a lock back if this token holds it, takes the caller's process out of the line, and wakes one that waits if
-- the lock is free. So it is a release, a give-up, and also the answer to a wake that nobody wants any longer.
--
-- KEYS[1]  the lock
-- KEYS[2]  its line: the channels of the processes that wait
-- ARGV[1]  token, or '' if the caller holds nothing
-- ARGV[2]  channel of the process if nobody of it waits any longer, or ''
-- ARGV[3]  name of the lock, as the woken process knows it
--
-- Returns 1  given back
--         0  was not held by this token

if ARGV[2] ~= '' then redis.call('LREM', KEYS[2], 0, ARGV[2]) end
local holder = redis.call('GET', KEYS[1])
local mine = holder == ARGV[1]
if mine then redis.call('DEL', KEYS[1]) end
if mine or not holder then
  -- A process that has ended does not hear it: the next one is woken instead.
  local channel = redis.call('LPOP', KEYS[2])
  while channel and redis.call('PUBLISH', channel, ARGV[3]) == 0 do
    channel = redis.call('LPOP', KEYS[2])
  end
end
return mine and 1 or 0
