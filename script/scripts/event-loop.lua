-- The script of an event loop. `wait` is called when the program has nothing to do, `work` when it has done its own work for some
-- requests. A call that fails, or a request that has nothing more to do without the program, ends that request's turn.

-- Makes the calls that a request needs before the program must work for it again.
local function go_on(fd)
    local call, a, b, c = program.next(fd)
    while call do
        if not sys[call](a, b, c) then return end
        call, a, b, c = program.next(fd)
    end
end

local function accept_all(listener, limit)
    for _ = 1, limit do
        local fd = sys.accept4(listener)
        if not fd then return end
        go_on(fd)
    end
end

function wait(set, limit)
    local count, events = sys.epoll_wait(set, limit)
    for i = 1, count do
        local event = events[i]
        if event.listener then
            accept_all(event.fd, limit)
        else
            go_on(event.fd)
        end
    end
end

function work(requests)
    for i = 1, #requests do
        go_on(requests[i].fd)
    end
end
