#!lua flags=allow-oom
-- Removes a record, and voids the lease: who loads meanwhile has read what may be out of date.
--
-- With a floor a record of that version or a newer one stays, and for a while none with an older version is stored. Where
-- nothing else is left the floor is kept alone.
--
-- KEYS[1]  the record. Expires.
-- KEYS[2]  the lease
-- ARGV[1]  floor, the 12 bytes of a version; or ''
-- ARGV[2]  how long the floor is in force, milliseconds
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now}  there is no record any longer
--         {2, now}  the record is new enough and stays

-- include _time
-- include _record
-- include _void

local now = micros()
local head = redis.call('GETRANGE', KEYS[1], 0, 55)
local kept = header_of(head)
local floor, floor_until = NO_VERSION, 0
if kept and kept.floor_until > now / 1000 then floor, floor_until = kept.floor, kept.floor_until end

local stays = false
if ARGV[1] ~= '' then
  local at_least = {struct.unpack('<I4I4I4', ARGV[1])}
  stays = kept and not kept.floor_only and not is_below(kept.version, at_least)
  if is_below(floor, at_least) then floor = at_least end
  floor_until = math.max(floor_until, now / 1000 + tonumber(ARGV[2]))
end

local floor_ms = math.ceil(floor_until - now / 1000)
local floor_bytes = struct.pack('<I4I4I4d', floor[1], floor[2], floor[3], floor_until)
if stays then
  redis.call('SETRANGE', KEYS[1], 36, floor_bytes)
  if redis.call('PTTL', KEYS[1]) < floor_ms then redis.call('PEXPIRE', KEYS[1], floor_ms) end
elseif floor_ms > 0 then
  local alone = string.char(0xC1, 1) .. string.rep('\0', 34) .. floor_bytes
  redis.call('SET', KEYS[1], alone, 'PX', string.format('%.0f', floor_ms))
else
  redis.call('DEL', KEYS[1])
end
void(KEYS[2])
return {stays and 2 or 1, now}
