//! `farrier audit`: who changed what, and whether the log of it is unharmed.

use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::{date_time, printable};
use audit_chain::{Chain, ChainError, Position};
use clap::{Args, Subcommand};
use gateway_api::{AuditPage, AuditRecord, List};
use gateway_client::Client;

/// Asked for at a time; the gateway gives so many at most.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the audit log's records
    List(ListArgs),
    /// Check on this machine that no record was changed, removed, put in or moved
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier audit list
  farrier audit list --after 1200 --limit 50
  farrier audit list -o wide")]
pub struct ListArgs {
    /// Begin behind this record; without it, the newest are shown
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// So many records
    #[arg(short = 'n', long, value_name = "RECORDS", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The records are checked here, on their bytes; what the gateway says of them is not
believed. A log that was written anew from its beginning holds together too: keep the
place that is printed at the end, and ask for it the next time.

Examples:
  farrier audit verify
  farrier audit verify --known 1200:9f0c…")]
pub struct VerifyArgs {
    /// A place that an earlier check has printed: the log must still hold it
    #[arg(long, value_name = "NUMBER:HASH")]
    known: Option<Position>,
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args, client, console).await,
        Command::Verify(args) => verify(&args, client, console).await,
    }
}

async fn list(args: &ListArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let mut after = match args.after {
        Some(after) => after,
        None => {
            let end: Position = parse_end(&client.audit(u64::MAX, Some(1)).await?)?;
            end.seq.saturating_sub(u64::from(args.limit))
        }
    };
    let mut items: Vec<AuditRecord> = Vec::new();
    while items.len() < args.limit as usize {
        let more = (args.limit - items.len() as u32).min(PAGE);
        let page = client.audit(after, Some(more)).await?;
        let Some(last) = page.records.last() else { break };
        after = last.seq;
        items.extend(page.records);
    }
    let list = List { items };
    let numbers = || list.items.iter().map(|record| record.seq.to_string()).collect();
    console.show(args.output.format(), &list, numbers, |look| view(&list.items, look.wide))
}

fn view(records: &[AuditRecord], is_wide: bool) -> String {
    let mut text = String::new();
    for record in records {
        let time = date_time(record.time_ms);
        let first = record.actions.first();
        let action = first.map_or(String::new(), |a| format!("{}: {}", a.what, a.subject));
        let more = match record.actions.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        text += &printable(&format!("{} {time} {} {action}{more}", record.seq, record.actor));
        text.push('\n');
        let rest = record.actions.iter().skip(1).filter(|_| is_wide);
        for action in rest {
            text += &printable(&format!("    {}: {}", action.what, action.subject));
            text.push('\n');
        }
        for signature in &record.signatures {
            let shorten = |id: &str| match is_wide {
                true => id.to_owned(),
                false => id.chars().take(16).collect::<String>(),
            };
            let (hash, key) = (shorten(&signature.document_hash), shorten(&signature.key_id));
            let (document, subject) = (&signature.document, &signature.subject);
            text += &printable(&format!("    signed {document} {hash} by key {key}: {subject}"));
            text.push('\n');
        }
    }
    text
}

async fn verify(args: &VerifyArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let mut check = Check { chain: Chain::from_what_is_kept(), signatures: 0, known: args.known };
    let mut after = 0;
    let mut first = None;
    // The log may grow meanwhile; what is there now is checked.
    let end = parse_end(&client.audit(u64::MAX, Some(1)).await?)?;
    while after < end.seq {
        let page = client.audit(after, Some(PAGE)).await?;
        first.get_or_insert(page.first_seq);
        let before = after;
        for record in &page.records {
            if after < end.seq {
                after = check.take(record, (first == Some(1)) && before == 0).map_err(damaged)?;
            }
        }
        if after == before {
            break;
        }
        console.note(format_args!("{after} of {} records checked", end.seq));
    }
    check.end(end).map_err(damaged)?;
    let (count, signatures) = (check.chain.checked(), check.signatures);
    let first = first.unwrap_or(1);
    console.text(&format!(
        "records {first} to {} hold together: {count} records, {signatures} signatures\n\
         remember this place, and check later with --known {end}\n",
        end.seq
    ))
}

/// The records that were taken so far.
struct Check {
    chain: Chain,
    signatures: usize,
    known: Option<Position>,
}

impl Check {
    /// The number of the record.
    fn take(&mut self, record: &AuditRecord, is_whole_log: bool) -> Result<u64, ChainError> {
        if is_whole_log && self.chain.last().is_none() {
            self.chain = Chain::from_the_start();
        }
        let expected = self.chain.last().map_or(record.seq, |last| last.seq + 1);
        let malformed = |_| ChainError::Missing { seq: expected };
        let bytes = hex::decode(&record.head).map_err(malformed)?;
        let head = self.chain.take(&bytes)?;
        self.signatures += head.signatures.len();
        let place = Position::of(head.seq, &bytes);
        if self.known.is_some_and(|known| known.seq == place.seq && known != place) {
            return Err(ChainError::NotAsKnown { seq: place.seq });
        }
        if self.known.is_some_and(|known| known == place) {
            self.known = None;
        }
        Ok(head.seq)
    }

    fn end(&self, end: Position) -> Result<(), ChainError> {
        self.chain.check_end(end)?;
        match self.known {
            Some(known) => Err(ChainError::Missing { seq: known.seq }),
            None => Ok(()),
        }
    }
}

fn damaged(error: ChainError) -> Failure {
    let text = format!("the audit log is damaged at record {}", error.record());
    let advice = "on the gateway's machine, farrier-gateway verify --config FILE says which file";
    Failure { advice: Some(advice.into()), ..Failure::new(Exit::Failed, text).because(&error) }
}

fn parse_end(page: &AuditPage) -> Result<Position, Failure> {
    page.end.parse().map_err(|e: String| Failure::new(Exit::Failed, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_chain::{Head, RECORD_VERSION};

    fn records(count: u64) -> (Vec<AuditRecord>, Position) {
        let mut end = Position::default();
        let mut records = Vec::new();
        for seq in 1..=count {
            let head = Head {
                version: RECORD_VERSION,
                seq,
                before: end.hash,
                time_ms: 1_700_000_000_000,
                actor: "token admin".into(),
                actions: vec![],
                signatures: vec![],
                body_hash: [0; 32],
                body_bytes: 0,
            };
            let bytes = head.to_bytes();
            end = Position::of(seq, &bytes);
            records.push(AuditRecord {
                seq,
                time_ms: head.time_ms,
                actor: head.actor,
                actions: vec![],
                signatures: vec![],
                hash: hex::encode(end.hash),
                head: hex::encode(&bytes),
            });
        }
        (records, end)
    }

    fn check(
        records: &[AuditRecord],
        end: Position,
        known: Option<Position>,
    ) -> Result<u64, ChainError> {
        let mut check = Check { chain: Chain::from_what_is_kept(), signatures: 0, known };
        for record in records {
            check.take(record, true)?;
        }
        check.end(end)?;
        Ok(check.chain.checked())
    }

    #[test]
    fn a_tampered_log_is_told_with_the_records_number() {
        let (whole, end) = records(8);
        assert_eq!(check(&whole, end, None), Ok(8));
        let mut removed = whole.clone();
        removed.remove(3);
        assert_eq!(check(&removed, end, None).unwrap_err().record(), 4);
        let mut changed = whole.clone();
        let at = changed[4].head.len() - 2;
        changed[4].head.replace_range(at.., "01");
        assert_eq!(check(&changed, end, None).unwrap_err().record(), 5);
        let mut moved = whole.clone();
        moved.swap(1, 2);
        assert_eq!(check(&moved, end, None).unwrap_err().record(), 2);
        let mut inserted = whole.clone();
        inserted.insert(6, whole[5].clone());
        assert_eq!(check(&inserted, end, None).unwrap_err().record(), 7);
        assert_eq!(check(&whole[..7], end, None).unwrap_err().record(), 8);
    }

    #[test]
    fn a_remembered_place_must_still_be_there() {
        let (whole, end) = records(8);
        let known = Position::of(3, &hex::decode(&whole[2].head).unwrap());
        assert_eq!(check(&whole, end, Some(known)), Ok(8));
        let other = Position { hash: [9; 32], ..known };
        assert_eq!(check(&whole, end, Some(other)), Err(ChainError::NotAsKnown { seq: 3 }));
        let later = Position { seq: 9, hash: [9; 32] };
        assert_eq!(check(&whole, end, Some(later)), Err(ChainError::Missing { seq: 9 }));
    }
}
