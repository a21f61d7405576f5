-- The script of a program that works for one request at a time: every call up to its next own work.

function work(requests)
    for i = 1, #requests do
        local fd = requests[i].fd
        local call, a, b, c = program.next(fd)
        while call do
            if not sys[call](a, b, c) then return end
            call, a, b, c = program.next(fd)
        end
    end
end
