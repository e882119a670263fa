#!lua flags=allow-oom
-- What a program in any language sends to invalidate entries, as a process of the application would: removes their
-- records, voids their leases, and tells all processes which have copies. It may be sent again, which does no harm.
--
-- docs/invalidate.lua is this script in one piece, and docs/writers-outside.md says how it is used.
--
-- At one Redis, also behind Sentinel, without KEYS. In a Redis Cluster, where entries and the log are at different nodes,
-- first once for each entry with its keys, then for all of them with those of the log: who hears of a change reads again.
--
-- KEYS[1]  in a cluster: the record, or what is known of the log
-- KEYS[2]  in a cluster: the lease, or the messages of the log
-- ARGV[1]  namespace of the application
-- ARGV[2]  entity
-- ARGV[3]  the key of an entry, as text; a tuple as a JSON array. More of them may follow, 1,000 in all
--
-- `removed` is how many records were there, `listening` how many processes were told; in a cluster, those at that node.
--
-- Returns {removed, listening}  done

-- include _time
-- include _history
-- include _epoch
-- include _append
-- include _void

local MOST_KEYS = 1000
-- More of them in one message would keep its reader from everything else.
local MOST_TOLD_AT_ONCE = 100
-- As the processes of the application keep the log.
local MOST_MESSAGES, KEPT_MS = 1000, 3600000
-- No process is called so: all of them have to hear of it.
local WRITER = 'outside'
-- What the ids of tuples begin with has no form in UTF-8: this is how names have it, and JSON.
local TUPLE_IN_NAME, TUPLE_IN_JSON = '%D800', '\\ud800'
local MOST_CHARACTERS = 256

local USAGE = 'EVAL <script> 0 <namespace> <entity> <key> <key>…; redis-cli takes a comma between spaces before them: '
  .. '--eval invalidate.lua , <namespace> <entity> <key>…'

local function refused(what, fix)
  return redis.error_reply('ERR invalidate.lua expected ' .. what .. '. Fix: ' .. fix)
end

local function reason_of(failure)
  return type(failure) == 'table' and failure.err or tostring(failure)
end

local function info(section)
  return redis.call('INFO', section)
end

-- As JavaScript counts them; nil if it is no UTF-8.
local function characters(text)
  for _, wrong in ipairs({'\224[\128-\159]', '\237[\160-\191]', '\240[\128-\143]', '\244[\144-\191]'}) do
    if string.find(text, wrong) then return nil end
  end
  text = string.gsub(text, '[\240-\244][\128-\191][\128-\191][\128-\191]', '..')
  text = string.gsub(text, '[\224-\239][\128-\191][\128-\191]', '.')
  text = string.gsub(text, '[\194-\223][\128-\191]', '.')
  if string.find(text, '[\128-\255]') then return nil end
  return #text
end

local function part_of(value)
  if value == cjson.null then return '%null' end
  if type(value) == 'boolean' then return tostring(value) end
  if type(value) == 'number' then
    -- What JavaScript would write otherwise may be given as text, which is the same part.
    if math.abs(value) > 9007199254740991 or value % 1 ~= 0 then return nil end
    return string.format('%.0f', value + 0)
  end
  if type(value) ~= 'string' or not characters(value) then return nil end
  return (string.gsub(value, '[%%/]', {['%'] = '%25', ['/'] = '%2F'}))
end

-- The id of an entry without what that of a tuple begins with, and whether it does; or nil and what was expected.
local function id_of(key)
  local first = string.sub(key, 1, 1)
  if first == '[' or first == '"' then
    local is_json, said = pcall(cjson.decode, key)
    if not is_json then return nil, 'JSON where a key begins with [ or "' end
    if type(said) == 'string' then
      key = said
    else
      local parts = {}
      for at, value in ipairs(said) do
        parts[at] = part_of(value)
        if not parts[at] then
          return nil, 'texts, whole numbers up to 2^53 - 1, true, false and null as parts of a tuple'
        end
      end
      if #parts == 0 then return nil, 'at least one part in a tuple' end
      return table.concat(parts, '/'), true
    end
  end
  if key == '' then return nil, 'a key that is not empty' end
  return key, false
end

local function checked(key)
  local id, is_tuple = id_of(key)
  if not id then return nil, is_tuple end
  local length = characters(id)
  if not length then return nil, 'UTF-8' end
  if length + (is_tuple and 1 or 0) > MOST_CHARACTERS then
    return nil, 'a key of at most 256 characters; what is longer has the name of its hash'
  end
  local in_name = string.gsub(id, '[%%{}]', function(sign) return string.format('%%%X', string.byte(sign)) end)
  local in_json = string.sub(cjson.encode(id), 2)
  return {
    name = (is_tuple and TUPLE_IN_NAME or '') .. in_name,
    json = '"' .. (is_tuple and TUPLE_IN_JSON or '') .. in_json,
  }
end

local namespace, entity = ARGV[1] or '', ARGV[2] or ''
for _, name in ipairs({{'namespace', namespace}, {'entity', entity}}) do
  if #name[2] > 64 or not string.find(name[2], '^[%w_.-]+$') then
    return refused('as ' .. name[1] .. " 1 to 64 letters, digits, '-', '_' and '.', got something else of "
      .. #name[2] .. ' bytes', USAGE .. '.')
  end
end
if not ARGV[3] or #ARGV - 2 > MOST_KEYS then
  return refused('1 to 1000 keys, got ' .. math.max(0, #ARGV - 2),
    USAGE .. '; more keys in further commands.')
end

local entries = {}
for at = 3, #ARGV do
  local entry, expected = checked(ARGV[at])
  if not entry then
    return refused(expected .. ', got something else as key ' .. at - 2 .. ' of ' .. #ARGV - 2,
      'see "Keys" in docs/writers-outside.md; nothing has been invalidated.')
  end
  entries[at - 2] = entry
end

local prefix = namespace .. ':1:'
local log_key = prefix .. 'log:{log}'
local function keys_of(entry)
  local tag = '{' .. entity .. ':' .. entry.name .. '}'
  return prefix .. 'v:' .. tag, prefix .. 'l:' .. tag
end

local is_entry, is_log = true, true
if #KEYS > 0 then
  local record_key, lease_key = keys_of(entries[1])
  is_entry = #KEYS == 2 and #entries == 1 and KEYS[1] == record_key and KEYS[2] == lease_key
  is_log = #KEYS == 2 and KEYS[1] == log_key and KEYS[2] == log_key .. ':m'
  if not is_entry and not is_log then
    return refused('as KEYS those of one entry or those of the log, got others', 'EVAL <script> 2 '
      .. '<namespace>:1:v:{<entity>:<key>} <namespace>:1:l:{<entity>:<key>} <namespace> <entity> <key>, and then '
      .. 'EVAL <script> 2 <namespace>:1:log:{log} <namespace>:1:log:{log}:m <namespace> <entity> <key> <key>…')
  end
elseif string.find(info('cluster'), 'cluster_enabled:1', 1, true) then
  return refused('KEYS, because this is a node of a Redis Cluster, got none',
    'send it for each entry and then for the log, see "Redis Cluster" in docs/writers-outside.md.')
end

local removed, listening, failures, failure = 0, 0, 0, nil
for _, entry in ipairs(is_entry and entries or {}) do
  -- One that fails must not keep the others from being told.
  local is_done, result = pcall(function()
    local record_key, lease_key = keys_of(entry)
    removed = removed + redis.call('DEL', record_key)
    void(lease_key)
  end)
  if not is_done then
    failures = failures + 1
    failure = reason_of(result)
  end
end

local told = {}
for at, entry in ipairs(is_log and entries or {}) do
  told[#told + 1] = '["' .. entity .. '",' .. entry.json .. ']'
  if #told == MOST_TOLD_AT_ONCE or at == #entries then
    local candidate = redis.sha1hex(info('server') .. micros())
    local message = '[' .. table.concat(told, ',') .. ']'
    local is_told, result = pcall(function()
      local _, _, heard =
        append(log_key, log_key .. ':m', candidate, prefix .. 'log', WRITER, message, MOST_MESSAGES, KEPT_MS)
      return heard
    end)
    if not is_told then
      return refused('to tell the processes that have copies, and Redis refused: ' .. reason_of(result),
        'give the user the rights under "Rights" in docs/writers-outside.md, and send the command again; '
          .. 'what Redis had of the entries is removed.')
    end
    listening = result
    told = {}
  end
end

if failures > 0 then
  return refused('to invalidate ' .. #entries .. ' entries, and Redis refused ' .. failures .. ' of them: '
    .. failure, 'see what it says, remove a key that something else has written, and send the command again.')
end
return {removed, listening}
