-- A static file server: everything from opening the file to closing it in one system call. Waiting, accepting and parsing stay with
-- the program; so does whatever this script does not know.

function work(requests)
    for i = 1, #requests do
        local request = requests[i]
        if request.call == "openat" then
            local file, error_name = sys.openat(request.path)
            if not file then return nil, error_name end
            local size = sys.newfstatat(file)
            sys.setsockopt(request.fd, "TCP_CORK", 1)
            sys.writev(request.fd, { "HTTP/1.1 200 OK\r\n", "Content-Length: " .. size .. "\r\n\r\n" })
            sys.sendfile(request.fd, file, size)
            sys.write(request.log, 100)
            sys.close(file)
        end
    end
end
