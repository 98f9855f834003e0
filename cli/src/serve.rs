//! `llmdb mcp`: a memory for agents, over the Model Context Protocol.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use llmdb_server::Listen;
use serde_json::json;

use crate::{
    failure::{Exit, Failure},
    host, store,
};

/// Serve a memory to agents over the Model Context Protocol
#[derive(Debug, Args)]
#[command(after_help = "\
Clients start this program and talk to it over stdin and stdout; what it has to say besides goes to stderr. It ends when the
client closes the pipe, or on Ctrl-C, with everything written. Any number of servers, of any number of clients, can have
one file open; the file is made if it is not there. docs/guide/mcp.md has the lines for the configuration of clients.

With --http it serves any number of clients at http://ADDRESS/mcp. Who may connect: everybody on this machine; from
elsewhere, and if a token is set, only who sends it. The token comes from the environment or a file, since everybody can
read the arguments of a process.

Examples:
  llmdb mcp memory.llmdb                                     # what a client runs
  claude mcp add memory -- llmdb mcp ~/memory.llmdb          # telling Claude Code to
  llmdb mcp memory.llmdb --http 127.0.0.1:8420               # http://127.0.0.1:8420/mcp
  LLMDB_TOKEN=$(openssl rand -hex 32) llmdb mcp memory.llmdb --http 0.0.0.0:8420 --host memory.example.com")]
pub struct McpArgs {
    /// The database file
    #[arg(env = "LLMDB_DB", value_name = "FILE")]
    file: PathBuf,
    /// Serve HTTP at this address and port (port 0: a free one) instead of stdin and stdout
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// A name under which the HTTP server is reached, beside localhost and its address; can be repeated
    #[arg(long, value_name = "NAME", requires = "http")]
    host: Vec<String>,
    /// Take the token that clients must send from this file [default: the environment variable LLMDB_TOKEN]
    #[arg(long, value_name = "PATH", requires = "http")]
    token_file: Option<PathBuf>,
}

/// Where a token may come from.
const TOKEN: &str = "LLMDB_TOKEN";
/// Longer files hold something else.
const TOKEN_FILE_MAX: usize = 4096;

/// Serves until it is asked to end. Nothing else may hold stdout.
pub fn run(args: &McpArgs, json: bool) -> Result<Exit, Failure> {
    let listen = match args.http {
        Some(address) => Some(Listen { address, token: token(args)?, hosts: args.host.clone() }),
        None => None,
    };
    if let Some(listen) = &listen {
        listen.check().map_err(|error| failed(error, &args.file))?;
    }
    let db = store::for_serving(&args.file, |text| say(json, text))?;
    match listen {
        None => {
            say(json, &format!("serving {} over stdin and stdout", args.file.display()));
            llmdb_server::stdio(db).map_err(|error| failed(error, &args.file))?;
        }
        Some(listen) => {
            let ready = |address: SocketAddr| tell_address(json, address);
            llmdb_server::http(db, &listen, ready).map_err(|error| failed(error, &args.file))?;
        }
    }
    Ok(Exit::Done)
}

fn tell_address(json: bool, address: SocketAddr) {
    match json {
        true => eprintln!("{}", json!({ "serving": format!("http://{address}/mcp") })),
        false => eprintln!("llmdb: serving http://{address}/mcp"),
    }
}

/// Says something on stderr that a program need not know.
fn say(json: bool, text: &str) {
    if !json {
        eprintln!("llmdb: {text}");
    }
}

fn token(args: &McpArgs) -> Result<Option<String>, Failure> {
    let Some(path) = &args.token_file else {
        return match std::env::var(TOKEN) {
            Ok(token) if token.is_empty() => Ok(None),
            Ok(token) => Ok(Some(token)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(Failure::usage(format!("{TOKEN}: {error}"))),
        };
    };
    let bytes = host::read(path).map_err(|error| Failure::file(path, &error))?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= TOKEN_FILE_MAX);
    let text = text.ok_or_else(|| Failure::usage(format!("{}: this is no token", path.display())))?;
    Ok(Some(text.trim().to_owned()))
}

fn failed(error: llmdb_server::Error, file: &Path) -> Failure {
    match error {
        llmdb_server::Error::Database(error) => error.into(),
        llmdb_server::Error::Io { what, error } => Failure::io(what, &error),
        llmdb_server::Error::Refused { what, mend } => Failure::usage(what).advise(mend),
        error => Failure::usage(format!("{}: {error}", file.display())),
    }
}
