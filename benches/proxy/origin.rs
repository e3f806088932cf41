//! The origin: fixed answers at minimal cost.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scenario::{HUGE, LARGE, SMALL, UPLOAD};

/// Prints its address and serves until it is killed.
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("a bound listener"));
        let answers = Arc::new(Answers { small: answer(SMALL), large: answer(LARGE), huge: answer(HUGE) });
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let answers = answers.clone();
            tokio::spawn(async move {
                let _ = serve(stream, &answers).await;
            });
        }
    })
}

struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
    huge: Vec<u8>,
}

fn answer(size: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: {size}\r\n\r\n"
    );
    [head.into_bytes(), vec![b'x'; size]].concat()
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        // Requests come one at a time: a GET is complete when it ends so, and a POST has a body of one size.
        while !is_complete(&buffer) {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let answer = match &buffer[..] {
            [b'G', b'E', b'T', b' ', b'/', b'l', ..] => &answers.large,
            [b'G', b'E', b'T', b' ', b'/', b'h', ..] => &answers.huge,
            _ => &answers.small,
        };
        stream.write_all(answer).await?;
        buffer.clear();
    }
}

fn is_complete(request: &[u8]) -> bool {
    if !request.starts_with(b"POST") {
        return request.ends_with(b"\r\n\r\n");
    }
    let head = request.windows(4).take(4096).position(|end| end == b"\r\n\r\n");
    head.is_some_and(|head| request.len() >= head + 4 + UPLOAD)
}
