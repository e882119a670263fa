-- Adds a message to the log of an epoch, and publishes it; returns how many listen, as far as this node knows.
local function append(state_key, messages_key, epoch, channel, writer, message, most, kept_ms)
  local seq = string.format('%.0f', redis.call('HINCRBY', state_key, 'seq', 1))
  redis.call('XADD', messages_key, 'MAXLEN', '~', most, seq .. '-1', 'w', writer, 'm', message)
  redis.call('PEXPIRE', state_key, kept_ms)
  redis.call('PEXPIRE', messages_key, kept_ms)
  return redis.call('PUBLISH', channel, epoch .. ' ' .. seq .. ' ' .. writer .. ' ' .. message)
end
