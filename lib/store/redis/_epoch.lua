-- What was heard of the log until now is worth nothing.
local function begin_epoch(state_key, messages_key, candidate)
  redis.call('DEL', state_key, messages_key)
  redis.call('HSET', state_key, 'epoch', candidate, 'history', history_of_server(), 'seq', 0)
  return candidate
end

-- The epoch of a log. It begins anew where the log is lost, and where this server has another history than the one in
-- which it began: a replica that became primary may lack the end of it.
local function epoch_of(state_key, messages_key, candidate)
  local known = redis.pcall('HMGET', state_key, 'epoch', 'history', 'seq')
  -- What is none of ours is lost as well.
  local is_ours = not known.err and known[1] and string.match(known[3] or '', '^%d+$') and #known[3] < 16
  if is_ours and known[2] == history_of_server() then return known[1] end
  return begin_epoch(state_key, messages_key, candidate)
end
