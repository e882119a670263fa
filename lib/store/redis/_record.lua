-- What a record says of itself, or nil if it is none of ours. `bytes` may be its first 56 only. The layout, and why
-- versions are compared in parts, is told in stored-record.ts.
local function header_of(bytes)
  if not bytes or #bytes < 56 or #bytes > 16777216 or string.byte(bytes, 1) ~= 0xC1 then return nil end
  local flags, _, _, loaded_at, soft_expiry, v1, v2, v3, f1, f2, f3, floor_until =
    struct.unpack('<BI2I4ddI4I4I4I4I4I4d', bytes, 2)
  -- What is not a number is not within any bounds either.
  for _, time in ipairs({loaded_at, soft_expiry, floor_until}) do
    if not (time >= 0 and time <= 8.64e15) then return nil end
  end
  if flags > 7 or (flags % 4 ~= 0 and #bytes > 56) then return nil end
  return {
    floor_only = flags % 2 == 1,
    loaded_at = loaded_at,
    soft_expiry = soft_expiry,
    version = {v1, v2, v3},
    floor = {f1, f2, f3},
    floor_until = floor_until,
  }
end

local function is_below(version, other)
  for i = 1, 3 do
    if version[i] ~= other[i] then return version[i] < other[i] end
  end
  return false
end

local NO_VERSION = {0, 0, 0}
