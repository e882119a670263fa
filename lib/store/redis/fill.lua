-- Stores a record if its token still has the lease, and gives the lease back.
--
-- A record says in which history of this server its lease was granted. In another one the lease may be in force only
-- because what voided it was lost, as with a primary that had not passed it on: so it is void.
--
-- A record with a version does not replace a newer one, nor is it stored below the floor; one without a version, as that
-- of something that does not exist, is.
--
-- Without `#!lua` on purpose: a server that is full still lets others have the lease.
--
-- KEYS[1]  the record. Expires.
-- KEYS[2]  the lease
-- KEYS[3]  the floor
-- ARGV[1]  token
-- ARGV[2]  the new record
-- ARGV[3]  how long to keep it, milliseconds; 0 for not at all
--
-- `now` is the time of the server in microseconds.
--
-- Returns {1, now}   stored
--         {0, now}   voided: the token has no lease, or has it no longer, or not from this history
--         {-1, now}  there is a newer version, or the floor is above it
--         {-2, now}  refused: this server takes nothing

-- include _time
-- include _history
-- include _record
-- include _version
-- include _void
-- include _try-set

local record, keep_ms = ARGV[2], ARGV[3]
local now = micros()
if not is_held_by(ARGV[1], KEYS[2]) then return {0, now} end

local header = header_of(record)
if header.history ~= history_of_server() then
  void(KEYS[2])
  return {0, now}
end
local version = header.version
if is_below(NO_VERSION, version) then
  local kept = header_of(redis.call('GETRANGE', KEYS[1], 0, 43))
  local floor = redis.call('GET', KEYS[3])
  if (kept and is_below(version, kept.version)) or (floor and is_below(version, version_of(floor))) then
    void(KEYS[2])
    return {-1, now}
  end
end

local stored = true
if keep_ms == '0' then redis.call('DEL', KEYS[1]) else stored = try_set(KEYS[1], record, 'PX', keep_ms) end
void(KEYS[2])
return {stored and 1 or -2, now}
