-- Makes a binding of a call's number: it hands the call out and returns what the kernel answers. `answer` is the last call of the
-- binding, so that level 2 of an error is the line of the script.
local yield, raise = ...

local function answer(fault, ...)
    if fault then raise(fault, 2) end
    return ...
end

return function(number)
    return function(...)
        return answer(yield(number, ...))
    end
end
