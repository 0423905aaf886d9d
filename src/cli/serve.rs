//! `golden serve`: serve a directory as a registry.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::report::OutputFormat;
use crate::report::text::{bytes, count};
use crate::serve::{self, ServeRules, Store, Users};

/// Serve a directory as a registry on this machine: the OCI distribution API 1.1.
///
/// The directory is an OCI image layout, which `golden build --to oci:DIR`, skopeo and oras also
/// read and write. It is created if it does not exist. An address that other machines can reach
/// requires TLS and a login.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the images.
    #[arg(value_name = "DIR", default_value = ".golden/registry")]
    pub directory: PathBuf,
    /// Address to listen on; port 0 chooses a free port, which is printed.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000", value_parser = serve::address)]
    pub addr: SocketAddr,
    /// File with the users and the bcrypt hashes of their passwords (htpasswd -B).
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// PEM file with the certificate of the server and its intermediates.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Refuse every change.
    #[arg(long)]
    pub read_only: bool,
    /// Refuse every deletion.
    #[arg(long)]
    pub no_delete: bool,
    /// Remove the blobs that no image needs and that are older than an hour, and exit.
    #[arg(long, conflicts_with_all = ["addr", "htpasswd", "tls_cert", "read_only", "no_delete"])]
    pub gc: bool,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let path = |path: &Path| context.cwd.join(path);
    if args.gc {
        return collect(&Store::existing(&path(&args.directory))?, context);
    }
    let store = Store::open(&path(&args.directory))?;
    let users = args
        .htpasswd
        .map(|file| Users::read(&path(&file)))
        .transpose()?;
    let rules = ServeRules {
        users,
        read_only: args.read_only,
        no_delete: args.no_delete,
    };
    let tls = args
        .tls_cert
        .zip(args.tls_key)
        .map(|(cert, key)| (path(&cert), path(&key)));
    let tls = tls
        .as_ref()
        .map(|(cert, key)| (cert.as_path(), key.as_path()));
    let listening = serve::listen(store, rules, args.addr, tls).await?;
    let address = listening.address();
    context
        .out
        .data(&format!("{}://{address}\n", listening.scheme()));
    context.out.message(&format!(
        "serving {} (^C stops it); publish to it with: golden build --push --registry {address}",
        args.directory.display()
    ));
    listening.run().await?;
    Ok(Exit::Done)
}

fn collect(store: &Store, context: &Context) -> Result<Exit, Failure> {
    let collected = store.collect()?;
    if context.format == OutputFormat::Json {
        context.out.json(&collected);
    } else {
        let removed = count(collected.blobs, "blob");
        let size = bytes(collected.bytes);
        context.out.data(&format!("removed {removed} ({size})\n"));
        if collected.kept_blobs > 0 {
            let (kept, size) = (collected.kept_blobs, bytes(collected.kept_bytes));
            let kept_blobs = count(kept, "blob");
            let they_are = if kept == 1 { "it is" } else { "they are" };
            context.out.message(&format!(
                "kept {kept_blobs} ({size}) that no image needs: {they_are} younger than an hour; run --gc again later"
            ));
        }
    }
    Ok(Exit::Done)
}
