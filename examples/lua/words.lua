-- Strings of all lengths, and a table that grows.
local scale = ...

local seed, words = 42, {}
local function random(most)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed % most + 1
end

local counts = {}
for _ = 1, 6000 * scale do
  local word = string.rep(string.char(96 + random(26)), random(40)) .. random(100)
  counts[word] = (counts[word] or 0) + 1
  words[#words + 1] = word
end
table.sort(words)
local text = table.concat(words, " ")
local _, vowels = text:gsub("[aeiou]", "%0")
local different = 0
for _ in pairs(counts) do different = different + 1 end
return #text .. " bytes, " .. different .. " different, " .. vowels .. " vowels"
