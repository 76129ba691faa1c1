//! `farrier login`, `logout` and `whoami`: a token for this user on this machine.

use crate::args::{GlobalArgs, OutputArgs};
use crate::connect::{connect_to, connect_without_token};
use crate::console::{Console, now_ms};
use crate::contexts::{self, Context, Contexts, Place};
use crate::failure::{Exit, Failure};
use crate::format;
use crate::grid::facts;
use crate::secret_input;
use clap::Args;
use gateway_api::{Me, NewLogin, NewToken, Secret};
use gateway_client::Client;
use std::path::{Path, PathBuf};

const LABEL_CHARS_MAX: usize = 64;
const DAY_S: u32 = 24 * 3_600;

#[derive(Debug, Args)]
#[command(after_help = "\
The gateway gives a token for the password. It goes into a file beside the contexts,
readable for you alone, and into the context of that gateway, which is made if there is
none. The password is kept nowhere.

With --setup-token-file the first user of a new gateway is made, an admin. A gateway
prints that token at its first start.

Examples:
  farrier login anna
  farrier login anna --gateway https://gateway.lab:8443
  farrier login anna --setup-token-file setup.token
  echo \"$PASSWORD\" | farrier login anna --password-file -")]
pub struct LoginArgs {
    /// The user's name
    name: String,
    /// File whose first line is the password; - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the token of the gateway's first start
    #[arg(long, value_name = "FILE")]
    setup_token_file: Option<PathBuf>,
    /// How long the token is good
    #[arg(long, value_name = "DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=1_825))]
    valid_days: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Revokes the token that `farrier login` has got, and deletes its file.

Examples:
  farrier logout")]
pub struct LogoutArgs {}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier whoami\n  farrier whoami -o json")]
pub struct WhoamiArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn login(
    args: &LoginArgs,
    global: &GlobalArgs,
    console: &Console,
) -> Result<(), Failure> {
    let place = contexts::place(global)?;
    let client = connect_without_token(&place, console)?;
    let setup_token = args.setup_token_file.as_deref().map(secret_input::read).transpose()?;
    let password = match &args.password_file {
        Some(path) => secret_input::read(path)?,
        None if setup_token.is_some() => secret_input::ask_new("password of the first user")?,
        None => secret_input::ask(&format!("password of {}", format::printable(&args.name)))?,
    };
    let new = NewLogin {
        name: Some(args.name.clone()),
        password: Some(password),
        setup_token,
        as_token: Some(NewToken {
            label: label(),
            role: None,
            valid_s: Some(args.valid_days * DAY_S),
            user: None,
        }),
        ..NewLogin::default()
    };
    // A wrong password is no reason to look for a token.
    let login = client.login(&new).await.map_err(|error| {
        let failure = Failure::from(error);
        match failure.exit {
            Exit::LoginNeeded => Failure { advice: None, ..failure },
            _ => failure,
        }
    })?;
    let Some(issued) = login.issued else {
        return Err(Failure::new(Exit::Failed, "the gateway gave no token")
            .or_try("farrier version, to compare it with the gateway's"));
    };
    let context = keep(&place, &issued.secret)?;
    console.note(format!(
        "logged in as {} ({}) to {}, context {context}; ends {}",
        format::printable(&args.name),
        login.role,
        client.gateway(),
        format::maybe(issued.token.expires_at_ms, |at| format::ago(now_ms(), at)),
    ));
    Ok(())
}

/// Into a file of its own, and its path into the context, whose name is given back.
fn keep(place: &Place, secret: &Secret) -> Result<String, Failure> {
    let mut contexts = Contexts::load()?;
    let same = |context: &Context| {
        context.gateway.trim_end_matches('/') == place.gateway.trim_end_matches('/')
    };
    let of_gateway = || {
        // The one in use, where several are of this gateway.
        let current =
            contexts.current.as_ref().filter(|name| contexts.contexts.get(*name).is_some_and(same));
        let any = contexts.contexts.iter().find(|(_, context)| same(context));
        current.or(any.map(|(name, _)| name)).cloned()
    };
    let name = place.context.clone().or_else(of_gateway);
    let name = name.unwrap_or_else(|| contexts::name_of(&place.gateway));
    let path = contexts::token_path(&name)?;
    let failure = || Failure::new(Exit::Failed, format!("write {}", path.display()));
    let folder = path.parent().ok_or_else(failure)?;
    std::fs::create_dir_all(folder).map_err(|e| failure().because(&e))?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = contexts::write_private(&new, &format!("{}\n", secret.0))
        .and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&new);
        failure().because(&e)
    })?;
    let gateway = place.gateway.clone();
    contexts.contexts.insert(name.clone(), Context { gateway, token_file: Some(path) });
    if contexts.current.is_none() {
        contexts.current = Some(name.clone());
    }
    contexts.save()?;
    Ok(name)
}

pub async fn logout(global: &GlobalArgs, console: &Console) -> Result<(), Failure> {
    let place = contexts::place(global)?;
    let own = contexts::path()?.with_file_name("tokens");
    let ours = place.token_file.clone().filter(|file| file.parent() == Some(&*own));
    let is_other = global.token_file.is_some();
    let Some(file) = ours.filter(|_| !is_other) else {
        let message = format!("there is no login of `farrier login` for {}", place.gateway);
        return Err(Failure::new(Exit::Usage, message)
            .or_try("farrier token ls, and farrier token revoke, for other tokens"));
    };
    // Exactly that token, also where the environment holds another one.
    let global = GlobalArgs { token_file: Some(file.clone()), ..global.clone() };
    let ended = revoke_own(&connect_to(&place, &global, console)?).await;
    match &ended {
        Ok(()) => {}
        // It has ended already.
        Err(failure) if failure.exit == Exit::LoginNeeded => {}
        Err(_) => return ended,
    }
    forget(&file)?;
    console.note(format!("logged out of {}", place.gateway));
    Ok(())
}

async fn revoke_own(client: &Client) -> Result<(), Failure> {
    match client.me().await?.token {
        Some(token) => Ok(client.revoke_token(&token.id).await?),
        None => Ok(()),
    }
}

fn forget(file: &Path) -> Result<(), Failure> {
    let removed = std::fs::remove_file(file);
    removed.map_err(|e| {
        Failure::new(Exit::Failed, format!("delete {}", file.display())).because(&e)
    })?;
    let mut contexts = Contexts::load()?;
    for context in contexts.contexts.values_mut() {
        context.token_file.take_if(|kept| kept == file);
    }
    contexts.save()
}

/// Whose machine it was is what one looks for in the list of tokens.
fn label() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| !c.is_control()).collect();
    let host = if host.is_empty() { "a machine".to_owned() } else { host };
    format!("farrier on {host}").chars().take(LABEL_CHARS_MAX).collect()
}

pub async fn whoami(args: &WhoamiArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let me = client.me().await?;
    console.show(
        args.output.format(),
        &me,
        || vec![me.user.clone().unwrap_or_else(|| "-".to_owned())],
        |look| {
            let mut lines = vec![
                (
                    "user",
                    me.user.clone().unwrap_or_else(|| "- (the gateway's administrator)".to_owned()),
                ),
                ("role", me.role.to_string()),
            ];
            lines.extend(by(&me, look.now_ms));
            lines.push(("gateway", client.gateway().to_owned()));
            facts(&lines)
        },
    )
}

fn by(me: &Me, now_ms: u64) -> Vec<(&'static str, String)> {
    let Some(token) = &me.token else { return vec![] };
    let ends = match token.expires_at_ms {
        Some(at) => format::ago(now_ms, at),
        None => "when it is revoked".to_owned(),
    };
    vec![("token", format!("{} ({})", token.label, token.id)), ("ends", ends)]
}
