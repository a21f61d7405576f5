//! A server that was started for the measurement and ends with it.

use super::{PATIENCE, account};
use crate::case::ServerKind;
use crate::error::TwinError;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What nginx serves: bytes of the recorded file.
const FILE_BYTES: usize = 512;
/// Name of that file.
pub(super) const FILE: &str = "s512.html";
/// A server that starts takes so long at most.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// A server that was asked to end takes so long at most, before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A server with a folder and a port of its own. It goes with this value, also when something fails.
pub(super) struct Running {
    kind: ServerKind,
    child: Child,
    folder: PathBuf,
    port: u16,
    processes: Vec<u32>,
}

impl Running {
    /// Starts a server on the processor that this thread is pinned to, and waits until it takes connections.
    pub fn start(kind: ServerKind) -> Result<Running, TwinError> {
        let folder = folder()?;
        let started = free_port().and_then(|port| Ok((spawn(kind, &folder, port)?, port)));
        let (child, port) = match started {
            Ok(started) => started,
            Err(error) => {
                std::fs::remove_dir_all(&folder).ok();
                return Err(error);
            }
        };
        let processes = vec![child.id()];
        // from here on it is ended whatever happens
        let mut running = Running { kind, child, folder, port, processes };
        running.wait_until_it_answers()?;
        running.processes.extend(account::children(running.child.id()));
        Ok(running)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The process and its workers.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.clone()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), TwinError> {
        let begun = Instant::now();
        let failed = |why: String, said: String| TwinError::Server { name: self.kind.name(), why, said };
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(failed(format!("ended at once ({status})"), last_words(&self.folder)));
            }
            // nginx listens before its worker is there
            let has_worker = self.kind != ServerKind::Nginx || !account::children(self.child.id()).is_empty();
            if has_worker && TcpStream::connect_timeout(&self.address(), PATIENCE).is_ok() {
                return Ok(());
            }
            if begun.elapsed() > START_PATIENCE {
                return Err(failed(format!("did not listen on port {} within five seconds", self.port), last_words(&self.folder)));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let workers = account::children(self.child.id());
        // asked politely first: nginx takes its worker along
        signal(self.child.id(), nix::sys::signal::Signal::SIGTERM);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < END_PATIENCE {
            std::thread::sleep(PAUSE);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            workers.iter().for_each(|worker| signal(*worker, nix::sys::signal::Signal::SIGKILL));
            self.child.wait().ok();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn signal(process: u32, signal: nix::sys::signal::Signal) {
    // one that has gone meanwhile needs none
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(process as i32), signal).ok();
}

/// A folder of its own: configuration, logs, what is served.
fn folder() -> Result<PathBuf, TwinError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("ringscope-server-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).map_err(TwinError::host("a temporary folder; set TMPDIR to one with free space"))?;
    Ok(folder)
}

/// A port that nobody has just now.
fn free_port() -> Result<u16, TwinError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(TwinError::host("a TCP port on the loopback device"))
}

fn spawn(kind: ServerKind, folder: &Path, port: u16) -> Result<Child, TwinError> {
    let log = || File::create(folder.join("output")).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = log().map_err(TwinError::host("a server's log"))?;
    let mut command = Command::new(kind.program());
    command.args(arguments(kind, folder, port)?).stdin(Stdio::null()).stdout(out).stderr(err).current_dir(folder);
    command.spawn().map_err(|error| TwinError::Server { name: kind.name(), why: error.to_string(), said: String::new() })
}

/// Options as in the recordings, but for the folder and the port. Servers that start as root must be told to stay so, as there.
fn arguments(kind: ServerKind, folder: &Path, port: u16) -> Result<Vec<String>, TwinError> {
    let root = nix::unistd::geteuid().is_root();
    let port = port.to_string();
    let words = match kind {
        ServerKind::Memcached => {
            let user: &[&str] = if root { &["-u", "root"] } else { &[] };
            [&["-t", "1", "-m", "64", "-c", "1024", "-l", "127.0.0.1", "-p", &port], user].concat()
        }
        ServerKind::Redis => vec!["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", &port, "--daemonize", "no"],
        ServerKind::Nginx => {
            let failed = || TwinError::host("the configuration of nginx");
            std::fs::write(folder.join(FILE), vec![b'b'; FILE_BYTES]).map_err(failed())?;
            std::fs::write(folder.join("nginx.conf"), nginx(folder, &port, root)).map_err(failed())?;
            vec!["-e", "error.log", "-p", ".", "-c", "nginx.conf"]
        }
    };
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// The recorded configuration. A connection may have more requests than there: none is to be closed within a measurement.
fn nginx(folder: &Path, port: &str, root: bool) -> String {
    let here = folder.display();
    let user = if root { "user root;" } else { "" };
    format!(
        "{user} worker_processes 1; daemon off; pid {here}/nginx.pid; error_log {here}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log {here}/access.log; sendfile on; tcp_nopush on; keepalive_timeout 65; keepalive_requests 100000000;\n\
         types {{ text/html html; }}\n\
         client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c; uwsgi_temp_path {here}/d; \
         scgi_temp_path {here}/e;\n\
         server {{ listen 127.0.0.1:{port}; root {here}; }} }}\n"
    )
}

/// The end of what a server wrote: why it did not start.
fn last_words(folder: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let all = read("output") + &read("error.log");
    all.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_told_where_everything_is() {
        let text = nginx(Path::new("/somewhere"), "8080", false);
        assert!(text.contains("listen 127.0.0.1:8080; root /somewhere;") && !text.contains("user root"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(nginx(Path::new("/somewhere"), "8080", true).starts_with("user root;"));
    }

    #[test]
    fn a_server_that_is_not_there_is_named_and_leaves_no_folder() {
        let folder = folder().unwrap();
        std::fs::write(folder.join("output"), "first\nno such thing\n\n").unwrap();
        assert_eq!(last_words(&folder), "no such thing");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
