#!lua flags=allow-oom
-- When tags were invalidated last, as the number of messages there were then. What is not known of a tag was lost with
-- whatever was said of it: that is remembered as if it had been invalidated just now.
--
-- KEYS[1]  what is known of the log: epoch, history, seq. Expires.
-- KEYS[2]  the latest messages, a stream
-- KEYS[3…] tags. Expire.
-- ARGV[1]  a new epoch, 22 characters, in case there is none
-- ARGV[2]  how long to keep the log after the last use, milliseconds
-- ARGV[3]  how long to keep the tags at least, milliseconds
--
-- `now` is the time of the server in microseconds; `generations` one number for each tag.
--
-- Returns {1, now, epoch, seq, generations}  where the log ends, and when they were invalidated

-- include _time
-- include _history
-- include _epoch
-- include _tag

local epoch = epoch_of(KEYS[1], KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local seq = redis.call('HGET', KEYS[1], 'seq')
local generations = {}
for at = 3, #KEYS do
  local generation = generation_of(KEYS[at], epoch, seq)
  if generation then
    redis.call('PEXPIRE', KEYS[at], ARGV[3])
  else
    generation = seq
    set_tag(KEYS[at], epoch, seq, ARGV[3])
  end
  generations[at - 2] = generation
end
return {1, micros(), epoch, seq, generations}
