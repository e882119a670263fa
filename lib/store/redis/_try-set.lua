-- As SET: true if it was set, false if NX forbids it, nil if this server takes nothing at present. What a replica says is
-- passed on: the client then looks for the primary.
local function try_set(...)
  local answer = redis.pcall('SET', ...)
  if not answer or not answer.err then return answer and true end
  local code = string.match(answer.err, '%u+')
  if code == 'OOM' or code == 'NOREPLICAS' or code == 'MISCONF' then return nil end
  error(answer)
end
