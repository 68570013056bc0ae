//! What an empty data directory gets: an administrator, or the demo shop.

use anyhow::Context as _;
use futures_util::future::try_join_all;
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
    add_users(service, passwords, &[("admin", &password, Role::Administrator)]).await
}

/// Adds the demo shop's items, then its users. A start that was cut short before there were users is
/// made up for by the next.
pub(super) async fn add_demo_data(service: &Service, passwords: &Passwords) -> anyhow::Result<()> {
    import(&demo_items()?, &Directly(service)).await?;
    add_users(service, passwords, &DEMO_USERS).await
}

/// Whether there is no item that somebody else defined.
pub(super) fn has_only_demo_items(service: &Service) -> anyhow::Result<bool> {
    let demo_items = demo_items()?;
    let is_of_the_demo = |upc| demo_items.iter().any(|item| item.upc == upc);
    Ok(service.with_state(|state| {
        state.catalogue().iter().take(demo_items.len() + 1).all(|item| is_of_the_demo(item.upc))
    }))
}

fn demo_items() -> anyhow::Result<Vec<ItemRow>> {
    read_items(DEMO_ITEMS.as_bytes()).context("the demo items")
}

type NewUser<'a> = (&'a str, &'a str, Role);

/// Adds users, each with a name, a password and a role, in one durable write: all or none of them.
async fn add_users(service: &Service, passwords: &Passwords, users: &[NewUser<'_>]) -> anyhow::Result<()> {
    let hash = |password: &str| passwords.hash(Zeroizing::new(password.as_bytes().to_vec()));
    let hashes = try_join_all(users.iter().map(|(_, password, _)| hash(password))).await?;
    let commands = users.iter().zip(hashes).map(|((name, _, role), password_hash)| {
        done(service, Command::AddUser { name: (*name).into(), password_hash, role: *role })
    });
    for (added, (name, ..)) in try_join_all(commands).await?.into_iter().zip(users) {
        added.map_err(|refusal| anyhow::anyhow!("cannot add the user {name}: {refusal}"))?;
    }
    Ok(())
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
    use std::sync::Arc;

    use inventory_core::journal::MemoryJournal;
    use inventory_net::password::{PasswordCost, PasswordOptions};
    use inventory_net::service::ServiceOptions;

    use super::*;

    #[test]
    fn a_demo_that_was_cut_short_is_made_up_for() {
        let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
        let passwords = Passwords::new(PasswordOptions { cost, ..PasswordOptions::default() }).unwrap();
        crate::serve::runtime().unwrap().block_on(async {
            let journal = Arc::new(MemoryJournal::new());
            let service = Service::open(journal, ServiceOptions::default()).await.unwrap();
            let items = demo_items().unwrap();
            import(&items[..5], &Directly(&service)).await.unwrap();
            assert!(has_only_demo_items(&service).unwrap());

            add_demo_data(&service, &passwords).await.unwrap();
            let counts = service.with_state(|state| (state.catalogue().len(), state.users().len()));
            assert_eq!(counts, (items.len(), DEMO_USERS.len()));

            let other = ItemRow { upc: "96385074".parse().unwrap(), ..items[0].clone() };
            import(&[other], &Directly(&service)).await.unwrap();
            assert!(!has_only_demo_items(&service).unwrap());
        });
    }

    #[test]
    fn a_generated_password_has_100_random_bits() {
        let one = generated_password().unwrap();
        let another = generated_password().unwrap();
        assert_ne!(*one, *another);
        assert_eq!(one.len(), 23);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
    }
}
