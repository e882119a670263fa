-- Something else lies where the log is to be, or something later. What is refused for another reason, as to who may not,
-- passes or does not, and is no reason to begin anew.
local function is_foreign(answer)
  if type(answer) ~= 'table' or not answer.err then return false end
  if string.find(answer.err, 'WRONGTYPE', 1, true) or string.find(answer.err, 'ID specified in XADD', 1, true) then
    return true
  end
  error(answer)
end

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
  local is_ours = not is_foreign(known) and known[1] and string.match(known[3] or '', '^%d+$') and #known[3] < 16
  if is_ours and known[2] == history_of_server() then return known[1] end
  return begin_epoch(state_key, messages_key, candidate)
end
