-- What a record says of itself, or nil if it is none of ours. `bytes` may be its first 44 only. The layout, and why
-- versions are compared in parts, is told in stored-record.ts.
local function header_of(bytes)
  if not bytes or #bytes < 44 or #bytes > 16777216 or string.byte(bytes, 1) ~= 0xC1 then return nil end
  local flags, _, _, loaded_at, soft_expiry, v1, v2, v3, history = struct.unpack('<BI2I4ddI4I4I4c8', bytes, 2)
  -- What is not a number is not within any bounds either.
  for _, time in ipairs({loaded_at, soft_expiry}) do
    if not (time >= 0 and time <= 8.64e15) then return nil end
  end
  if flags > 7 or (flags < 4 and flags % 2 == 1 and #bytes > 44) then return nil end
  return {loaded_at = loaded_at, soft_expiry = soft_expiry, version = {v1, v2, v3}, history = history}
end
