-- Stores a record if its token still has the lease, and gives the lease back.
--
-- A record with a version does not replace a newer one, nor is it stored below the floor; one without a version, as that
-- of something that does not exist, is.
--
-- Without `#!lua` on purpose: a server that is full still lets others have the lease.
--
-- KEYS[1]  the record. Expires.
-- KEYS[2]  the lease
-- ARGV[1]  token
-- ARGV[2]  the new record
-- ARGV[3]  how long to keep it, milliseconds
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now}   stored
--         {0, now}   voided: the token has no lease, or has it no longer
--         {-1, now}  there is a newer version, or the floor is above it
--         {-2, now}  refused: this server takes nothing

-- include _time
-- include _record
-- include _void
-- include _try-set

local now = micros()
if not is_held_by(ARGV[1], KEYS[2]) then return {0, now} end

local record, keep_ms = ARGV[2], tonumber(ARGV[3])
local version = header_of(record).version
local head = redis.call('GETRANGE', KEYS[1], 0, 55)
local kept = header_of(head)
local floor_ms = kept and kept.floor_until - now / 1000 or 0
if kept and is_below(NO_VERSION, version) then
  if is_below(version, kept.version) or (floor_ms > 0 and is_below(version, kept.floor)) then
    void(KEYS[2])
    return {-1, now}
  end
end
if floor_ms > 0 then
  -- The floor lasts as long as it was to, whatever is stored meanwhile.
  record = string.sub(record, 1, 36) .. string.sub(head, 37, 56) .. string.sub(record, 57)
  keep_ms = math.max(keep_ms, math.ceil(floor_ms))
end
local set = try_set(KEYS[1], record, 'PX', string.format('%.0f', keep_ms))
void(KEYS[2])
return {set and 1 or -2, now}
