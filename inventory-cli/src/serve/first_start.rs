//! What an empty data directory gets: an administrator, or the demo shop.

use anyhow::Context as _;
use inventory_core::{Action, Actor, Answer, Command, LocationId, Refusal, Reply, Role, Version};
use inventory_net::password::Passwords;
use inventory_net::service::Service;
use zeroize::Zeroizing;

use crate::import::{ImportTarget, import};
use crate::items::{DEMO_ITEMS, ItemRow, read_items};

/// The demo shop's users: name, password, role.
pub(crate) const DEMO_USERS: [(&str, &str, Role); 3] = [
    ("alice", "alice-demo", Role::Buyer),
    ("bob", "bob-demo", Role::Buyer),
    ("admin", "admin-demo", Role::Administrator),
];

/// Adds the user `admin` and shows the password made for it, once.
pub(super) async fn add_administrator(service: &Service, passwords: &Passwords) -> anyhow::Result<()> {
    let password = generated_password()?;
    // Shown before it counts: a crash in between leaves an empty directory, and the next start makes another one.
    super::say(&format!(
        "first start: the administrator is `admin`, the password is {}\n\
         it is shown this once; keep it, or nobody can administer this inventory\n",
        *password
    ))?;
    add_user(service, passwords, "admin", &password, Role::Administrator).await
}

/// Adds the demo shop's users and items.
pub(super) async fn add_demo_data(service: &Service, passwords: &Passwords) -> anyhow::Result<()> {
    let items = read_items(DEMO_ITEMS.as_bytes()).context("the demo items")?;
    for (name, password, role) in DEMO_USERS {
        add_user(service, passwords, name, password, role).await?;
    }
    import(&items, &Directly(service)).await?;
    Ok(())
}

async fn add_user(
    service: &Service,
    passwords: &Passwords,
    name: &str,
    password: &str,
    role: Role,
) -> anyhow::Result<()> {
    let password_hash = passwords.hash(Zeroizing::new(password.as_bytes().to_vec())).await?;
    let command = Command::AddUser { name: name.into(), password_hash, role };
    done(service, command).await.map(|_| ()).with_context(|| format!("cannot add the user {name}"))
}

/// 100 random bits in groups of five letters and digits, without those that look alike.
fn generated_password() -> anyhow::Result<Zeroizing<String>> {
    const SYMBOLS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = Zeroizing::new([0u8; 20]);
    getrandom::fill(&mut *random).context("the system gives no random bits")?;
    let mut password = Zeroizing::new(String::with_capacity(32));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            password.push('-');
        }
        let symbol = SYMBOLS.get(usize::from(byte % 32)).copied().unwrap_or_default();
        password.push(char::from(symbol));
    }
    Ok(password)
}

/// Carries out a command for the operator.
async fn done(service: &Service, command: Command) -> anyhow::Result<Result<Version, Refusal>> {
    match service.call(Actor::System, Action::Command(command)).await {
        Reply::Answered(Answer::Done(version)) => Ok(Ok(version)),
        Reply::Answered(other) => anyhow::bail!("the engine answered something else: {other:?}"),
        Reply::Refused(refusal) => Ok(Err(refusal)),
        Reply::Unavailable(why) => anyhow::bail!("{why}"),
    }
}

/// A server in this process, used without a session.
struct Directly<'a>(&'a Service);

impl ImportTarget for Directly<'_> {
    async fn define_item(&self, item: &ItemRow) -> anyhow::Result<()> {
        let ItemRow { upc, name, price, .. } = item;
        let command = Command::DefineItem { upc: *upc, name: name.as_str().into(), price: *price };
        done(self.0, command).await?.map_err(|refusal| anyhow::anyhow!("{upc}: {refusal}"))?;
        Ok(())
    }

    async fn set_initial_level(&self, item: &ItemRow) -> anyhow::Result<bool> {
        let ItemRow { upc, units, .. } = *item;
        let command = Command::SetInitialLevel { upc, location: LocationId::MAIN, units };
        match done(self.0, command).await? {
            Ok(_) => Ok(true),
            Err(Refusal::LevelAlreadySet) => Ok(false),
            Err(refusal) => anyhow::bail!("{upc}: {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_has_100_random_bits() {
        let one = generated_password().unwrap();
        let another = generated_password().unwrap();
        assert_ne!(*one, *another);
        assert_eq!(one.len(), 23);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
    }
}
