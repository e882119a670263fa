-- The epoch of a log. It begins anew where the log is lost, and where this server has another history than the one in
-- which it began: a replica that became primary may lack the end of it.
local function epoch_of(state_key, messages_key, candidate)
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
  local known = redis.pcall('HMGET', state_key, 'epoch', 'history')
  -- What is none of ours is lost as well.
  if not known.err and known[1] and known[2] == history then return known[1] end
  redis.call('DEL', state_key, messages_key)
  redis.call('HSET', state_key, 'epoch', candidate, 'history', history, 'seq', 0)
  return candidate
end
