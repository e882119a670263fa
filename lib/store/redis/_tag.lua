-- A tag has the epoch and the number of messages in which it was invalidated last, `<epoch> <seq>`. What belongs to
-- another epoch is not known any more.
local function set_tag(key, epoch, seq, keep_ms)
  redis.call('SET', key, epoch .. ' ' .. seq, 'PX', keep_ms)
end

-- Nothing if it is not known in this epoch, or later than all messages: that is none of ours.
local function generation_of(key, epoch, seq)
  local known = redis.pcall('GET', key)
  if type(known) ~= 'string' or string.sub(known, 1, #epoch + 1) ~= epoch .. ' ' then return nil end
  local generation = string.match(known, '^%d+$', #epoch + 2)
  if generation and tonumber(generation) <= tonumber(seq) then return generation end
end
