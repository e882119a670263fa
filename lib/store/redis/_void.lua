-- Takes the right to store an entry from whoever has it, and wakes the processes that wait for the end of that.
--
-- A lease or a claim is `<token of 22 characters> <channel> <channel>…`; a cool-down is `!`.
local function void(lease_key)
  local lease = redis.call('GET', lease_key)
  if not lease then return end
  redis.call('DEL', lease_key)
  -- Who is not woken comes by himself when the lease would have ended.
  for channel in string.gmatch(lease, ' (%S+)') do redis.pcall('PUBLISH', channel, lease_key) end
end

local function is_held_by(token, lease_key)
  return redis.call('GETRANGE', lease_key, 0, 21) == token
end
