-- Which history of its data this server has, as records know it: 8 bytes. It begins another one where it may lack the end
-- of what was acknowledged: as a replica that becomes primary, and when it starts from its disk. NO_HISTORY where it does
-- not say.
local NO_HISTORY = string.rep('\0', 8)

local function history_of_server()
  local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
  if #id < 16 then return NO_HISTORY end
  return (string.gsub(string.sub(id, 1, 16), '%x%x', function(byte) return string.char(tonumber(byte, 16)) end))
end
