-- Adds a message to the log and publishes it; returns the epoch it is in, its number there, and how many listen, as far as
-- this node knows. `candidate`: a new epoch, in case there is none.
local function append(state_key, messages_key, candidate, channel, writer, message, most, kept_ms)
  local epoch = epoch_of(state_key, messages_key, candidate)
  local function add()
    local seq = string.format('%.0f', redis.call('HINCRBY', state_key, 'seq', 1))
    return seq, redis.pcall('XADD', messages_key, 'MAXLEN', '~', most, seq .. '-1', 'w', writer, 'm', message)
  end
  local seq, added = add()
  if is_foreign(added) then
    epoch = begin_epoch(state_key, messages_key, candidate)
    seq, added = add()
    if type(added) == 'table' and added.err then error(added) end
  end
  redis.call('PEXPIRE', state_key, kept_ms)
  redis.call('PEXPIRE', messages_key, kept_ms)
  return epoch, seq, redis.call('PUBLISH', channel, epoch .. ' ' .. seq .. ' ' .. writer .. ' ' .. message)
end
