-- Many small tables that live and die together.
local scale = ...

local function build(depth)
  if depth == 0 then return {} end
  return {build(depth - 1), build(depth - 1)}
end

local function count(tree)
  return tree[1] and 1 + count(tree[1]) + count(tree[2]) or 1
end

local total = 0
for _ = 1, 2 * scale do total = total + count(build(12)) end
return total
