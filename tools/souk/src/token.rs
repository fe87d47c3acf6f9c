//! `souk token`: tokens for programs that change ratings, and for moderators.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use souk_db::operator::tokens;
use souk_process::say;

use crate::database::DatabaseArgs;
use crate::{Failed, block_on};

/// Flags of `souk token`. Without a subcommand it makes a token and prints it, alone on one line.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    /// What the token allows
    #[arg(long, value_enum, required = true)]
    role: Option<Role>,
    /// Whose it is, for the list
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Show all tokens, without their texts, which nobody keeps
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Make a token worthless, within a quarter of a second
    Revoke {
        /// Its number in the list
        #[arg(value_name = "ID")]
        id: u64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Change ratings and record matches
    Service,
    /// The same, and hide and show users
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Service => "service",
            Role::Admin => "admin",
        }
    }
}

/// Makes, lists or revokes.
pub fn run(args: &TokenArgs) -> Result<ExitCode, Failed> {
    match &args.command {
        None => {
            let role = args.role.ok_or("give --role service or --role admin")?;
            let url = args.database.url()?;
            say(block_on(tokens::create(&url, role.name(), &args.label))??);
        }
        Some(TokenCommand::List { database }) => list(&database.url()?)?,
        Some(TokenCommand::Revoke { id, database }) => {
            if !block_on(tokens::revoke(&database.url()?, *id))?? {
                let why = "there is no token {id} that is not revoked: see `souk token list`";
                return Err(Failed(why.replace("{id}", &id.to_string())));
            }
            say(format_args!("token {id} is revoked"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(url: &str) -> Result<(), Failed> {
    let all = block_on(tokens::list(url))??;
    if all.is_empty() {
        say("no tokens: `souk token --role service` makes one");
        return Ok(());
    }
    say(format_args!("{:>4}  {:8} {:20} {:20} {}", "id", "role", "made", "revoked", "label"));
    for token in all {
        let revoked = token.revoked_at.unwrap_or_default();
        say(format_args!(
            "{:>4}  {:8} {:20} {revoked:20} {}",
            token.id, token.role, token.created_at, token.label
        ));
    }
    Ok(())
}
