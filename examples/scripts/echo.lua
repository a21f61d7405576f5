-- An echo of what each ready connection has sent: wait, receive, send back, all in one system call. A server whose replies need the
-- program's own work sends nothing here (program.next gives no call), and goes on by itself.

function wait(set, limit)
    local count, events = sys.epoll_wait(set, limit)
    for i = 1, count do
        local event = events[i]
        if not event.listener then
            local bytes = sys.read(event.fd, 4096)
            if bytes and program.next(event.fd) == "write" then
                sys.write(event.fd, bytes)
            end
        end
    end
end
