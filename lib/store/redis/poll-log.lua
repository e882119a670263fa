#!lua flags=allow-oom
-- Where the log ends, and what was missed of it. A write, so that a server which may not write does not answer: a replica,
-- or a primary whose replicas are gone, where it is to have some.
--
-- KEYS[1]  what is known of the log: epoch, history, seq. Expires.
-- KEYS[2]  the latest messages, a stream
-- ARGV[1]  the epoch that was heard, or ''
-- ARGV[2]  how many messages of it were heard
-- ARGV[3]  a new epoch, 22 characters, in case there is none
-- ARGV[4]  how many missed messages to tell at most
-- ARGV[5]  how long to keep the log after the last use, milliseconds
--
-- `now` is the time of the server in microseconds; `missed` as XRANGE returns them, those that are still there.
--
-- Returns {1, now, epoch, seq, missed}  the end

-- include _time
-- include _history
-- include _epoch

local epoch = epoch_of(KEYS[1], KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local seq = redis.call('HGET', KEYS[1], 'seq')
local missed = {}
if ARGV[1] == epoch and tonumber(ARGV[2]) < tonumber(seq) then
  missed = redis.pcall('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-1', '+', 'COUNT', ARGV[4])
  if missed.err then missed = {} end
end
return {1, micros(), epoch, seq, missed}
