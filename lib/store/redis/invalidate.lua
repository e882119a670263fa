#!lua flags=allow-oom
-- Removes a record, and voids the lease: who loads meanwhile has read what may be out of date.
--
-- With a floor a record of that version or a newer one stays, and for a while none with an older version is stored. Of
-- two floors the higher one counts for as long as the later one lasts.
--
-- KEYS[1]  the record
-- KEYS[2]  the lease
-- KEYS[3]  the floor. Expires.
-- ARGV[1]  floor, the 12 bytes of a version; or ''
-- ARGV[2]  how long the floor is in force, milliseconds
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now}  there is no record any longer
--         {2, now}  the record is new enough and stays

-- include _time
-- include _record
-- include _version
-- include _void

local floor, floor_ms = ARGV[1], tonumber(ARGV[2])
local stays = false
if floor ~= '' then
  local kept = header_of(redis.call('GETRANGE', KEYS[1], 0, 43))
  stays = kept and not is_below(kept.version, version_of(floor))
  local last = redis.call('GET', KEYS[3])
  if last then
    if is_below(version_of(floor), version_of(last)) then floor = last end
    floor_ms = math.max(floor_ms, redis.call('PTTL', KEYS[3]))
  end
  if floor_ms > 0 then redis.call('SET', KEYS[3], floor, 'PX', string.format('%.0f', floor_ms)) end
end
if not stays then redis.call('DEL', KEYS[1]) end
void(KEYS[2])
return {stays and 2 or 1, micros()}
