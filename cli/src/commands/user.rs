//! `farrier user`: who may use the gateway, and for what.

use crate::args::OutputArgs;
use crate::confirm::confirm;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::grid::{Align, Grid, plain};
use crate::secret_input;
use clap::{Args, Subcommand, ValueEnum};
use gateway_api::{List, NewPassword, NewRole, NewUser, Role, User};
use gateway_client::Client;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the users
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Make a user
    Add(AddArgs),
    /// Give a user another role
    SetRole(SetRoleArgs),
    /// Change a password: one's own, or as an admin another's
    Password(PasswordArgs),
    /// Remove a user, with tokens and sessions
    Remove(RemoveArgs),
}

/// As the gateway's roles, for the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleArg {
    /// Reads everything but other people's tokens and sessions
    Viewer,
    /// Works with what is there: deployments, applications, messages, devices
    Operator,
    /// Brings new code: modules, known answers, signed releases
    Developer,
    /// Users, keys and root documents
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Developer => Self::Developer,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier user ls\n  farrier user ls -o name")]
pub struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --no-password the password is asked for, twice.

Examples:
  farrier user add anna --role operator
  farrier user add nightly --role developer --no-password
  farrier user add bert --role viewer --password-file bert.password")]
pub struct AddArgs {
    /// Lower-case letters, digits, '-', '_' and '.'
    name: String,
    #[arg(long, value_enum)]
    role: RoleArg,
    /// File whose first line is the password; - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Only tokens are a way in
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Tokens and sessions of the user may do less from that moment on.

Examples:
  farrier user set-role anna developer")]
pub struct SetRoleArgs {
    name: String,
    #[arg(value_enum)]
    role: RoleArg,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Ends the user's sessions in browsers. Tokens stay: farrier token ls shows them.

Examples:
  farrier user password anna
  farrier user password anna --password-file new.password --present-password-file old.password")]
pub struct PasswordArgs {
    name: String,
    /// File whose first line is the new password; - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the one until now, which one's own needs
    #[arg(long, value_name = "FILE")]
    present_password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier user remove anna")]
pub struct RemoveArgs {
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    let or_list = |error| Failure::from(error).if_not_found_try("farrier user ls");
    match command {
        Command::Ls(args) => ls(&args, client, console).await,
        Command::Add(args) => {
            let password = match args.no_password {
                true => None,
                false => Some(secret_input::new_password(args.password_file.as_deref())?),
            };
            let new = NewUser { name: args.name, role: args.role.into(), password };
            let user = client.create_user(&new).await?;
            let name = format::printable(&user.name);
            console.note(match user.has_password {
                true => format!("{name} is {}; farrier login {name}", user.role),
                false => format!("{name} is {}; farrier token add LABEL --user {name}", user.role),
            });
            Ok(())
        }
        Command::SetRole(args) => {
            let role = NewRole { role: args.role.into() };
            let user = client.set_role(&args.name, &role).await.map_err(or_list)?;
            console.note(format!("{} is {}", format::printable(&user.name), user.role));
            Ok(())
        }
        Command::Password(args) => password(&args, client, console).await,
        Command::Remove(args) => {
            let name = format::printable(&args.name);
            confirm(&format!("Remove {name}? All tokens and sessions end."), args.yes)?;
            client.remove_user(&args.name).await.map_err(or_list)?;
            console.note(format!("{name} is removed"));
            Ok(())
        }
    }
}

async fn password(args: &PasswordArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let is_own = client.me().await?.user.as_ref() == Some(&args.name);
    let present = match &args.present_password_file {
        Some(path) => Some(secret_input::read(path)?),
        None if is_own => Some(secret_input::ask("present password")?),
        None => None,
    };
    let password = secret_input::new_password(args.password_file.as_deref())?;
    let new = NewPassword { password, present };
    client.set_password(&args.name, &new).await.map_err(|error| {
        let failure = Failure::from(error).if_not_found_try("farrier user ls");
        match failure.exit {
            // It is a password that was wrong, or a role, and no token.
            Exit::LoginNeeded => Failure { advice: None, ..failure },
            _ => failure,
        }
    })?;
    console.note(format!("{} has a new password", format::printable(&args.name)));
    Ok(())
}

async fn ls(args: &LsArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let list: List<User> = client.users().await?;
    if list.items.is_empty() {
        console.note("there are none; farrier user add NAME --role admin");
    }
    let names = || list.items.iter().map(|user| user.name.clone()).collect();
    console.show(args.output.format(), &list, names, |look| {
        if list.items.is_empty() {
            return String::new();
        }
        let columns = [
            ("NAME", Align::Left),
            ("ROLE", Align::Left),
            ("PASSWORD", Align::Left),
            ("TOKENS", Align::Right),
            ("SESSIONS", Align::Right),
            ("MADE", Align::Left),
        ];
        let mut grid = Grid::new(look, &columns);
        for user in &list.items {
            grid.row(vec![
                plain(&user.name),
                plain(user.role.as_str()),
                plain(if user.has_password { "yes" } else { "no" }),
                plain(user.tokens.to_string()),
                plain(user.sessions.to_string()),
                plain(format::ago(look.now_ms, user.created_at_ms)),
            ]);
        }
        grid.to_text()
    })
}
