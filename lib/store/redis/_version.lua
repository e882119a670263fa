local NO_VERSION = {0, 0, 0}

-- Of the 12 bytes that stand for it.
local function version_of(bytes)
  return {struct.unpack('<I4I4I4', bytes)}
end

local function is_below(version, other)
  for i = 1, 3 do
    if version[i] ~= other[i] then return version[i] < other[i] end
  end
  return false
end
