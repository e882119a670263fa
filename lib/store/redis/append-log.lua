#!lua flags=allow-oom
-- Adds a message to the log, and publishes it. A copy of it that is executed late adds it once more, which does no harm.
--
-- KEYS[1]  what is known of the log: epoch, history, seq. Expires.
-- KEYS[2]  the latest messages, a stream. Expires.
-- KEYS[3…] tags that are invalidated by it. Expire.
-- ARGV[1]  channel
-- ARGV[2]  who appends it
-- ARGV[3]  the message
-- ARGV[4]  a new epoch, 22 characters, in case there is none
-- ARGV[5]  how many messages to keep, roughly
-- ARGV[6]  how long to keep the log after the last use, milliseconds
-- ARGV[7]  how long to keep the tags at least, milliseconds
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now, epoch, seq}  added, and where the log ends with it

-- include _time
-- include _epoch
-- include _tag

local epoch = epoch_of(KEYS[1], KEYS[2], ARGV[4])
local function add()
  local seq = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'seq', 1))
  local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], seq .. '-1', 'w', ARGV[2], 'm', ARGV[3])
  return seq, type(added) == 'table' and added.err
end

local seq, refused = add()
if refused then
  -- Something else is there, or something later: it is none of ours.
  epoch = begin_epoch(KEYS[1], KEYS[2], ARGV[4])
  seq, refused = add()
  if refused then return redis.error_reply(refused) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
for at = 3, #KEYS do set_tag(KEYS[at], epoch, seq, ARGV[7]) end
redis.call('PUBLISH', ARGV[1], epoch .. ' ' .. seq .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return {1, micros(), epoch, seq}
