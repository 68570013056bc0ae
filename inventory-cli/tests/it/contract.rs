//! What programs rely on: JSON, CSV and their names.

use crate::harness::{BANANAS, Place, Ran, TISSUES};

/// The text with what differs from run to run replaced.
fn stable(text: &str) -> String {
    let digits = |c: char, text: &str| {
        text.chars().map(|d| if d.is_ascii_digit() { c } else { d }).collect::<String>()
    };
    let value = |line: &str| line.split_once(": ").map(|(name, _)| name.to_owned());
    let lines = text.lines().map(|line| match line.trim_start() {
        l if l.starts_with("\"key\"") => format!("{}: \"KEY\",", value(line).unwrap()),
        l if l.starts_with("\"at\"") => digits('0', line),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn json(ran: &Ran) -> String {
    stable(&ran.out)
}

#[test]
fn json_is_a_contract() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.client("alice");

    let login = client.run_with("alice-demo", &["login", "alice", "--format", "json"]).exits(0);
    insta::assert_snapshot!(login.out.replace(&client.server, "URL"), @r#"
    {
      "user": "alice",
      "role": "buyer",
      "server": "URL"
    }
    "#);
    let stock = client.run(&["stock", TISSUES, "3017620422003", "--format", "json"]).exits(0);
    insta::assert_snapshot!(stock.out, @r#"
    [
      {
        "upc": "036000291452",
        "name": "Kleenex Facial Tissues, 160 count",
        "location": "main",
        "on_hand": 100,
        "reserved": 0,
        "available": 100,
        "price": 249
      },
      {
        "upc": "3017620422003",
        "name": "Nutella Hazelnut Spread, 400 g",
        "location": "main",
        "on_hand": 84,
        "reserved": 0,
        "available": 84,
        "price": 499
      }
    ]
    "#);
    let bought = client.run(&["buy", TISSUES, "2", BANANAS, "1", TISSUES, "1", "--format", "json"]).exits(0);
    insta::assert_snapshot!(json(&bought), @r#"
    {
      "key": "KEY",
      "version": 53,
      "user": "alice",
      "at": "0000-00-00T00:00:00.000000Z",
      "lines": [
        {
          "upc": "036000291452",
          "location": "main",
          "units": 3
        },
        {
          "upc": "012345678905",
          "location": "main",
          "units": 1
        }
      ],
      "total": 826,
      "charged": null
    }
    "#);
    let key = bought.json()["key"].as_str().unwrap().to_owned();
    let receipt = client.run(&["receipt", &key, "--format", "json"]).exits(0);
    assert_eq!(receipt.out, bought.out);

    let mine = client.run(&["mine", "--format", "json"]).exits(0);
    insta::assert_snapshot!(mine.out, @r#"
    [
      {
        "upc": "012345678905",
        "name": "Organic Bananas, 1 lb",
        "units": 1
      },
      {
        "upc": "036000291452",
        "name": "Kleenex Facial Tissues, 160 count",
        "units": 3
      }
    ]
    "#);
    let logout = client.run(&["logout", "--format", "json"]).exits(0);
    insta::assert_snapshot!(logout.out, @r#"
    {
      "user": "alice"
    }
    "#);
}

#[test]
fn a_refusal_in_json_goes_to_standard_error() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let short = client.run(&["buy", BANANAS, "5", TISSUES, "101", "--format", "json"]).exits(1);
    assert_eq!(short.out, "");
    insta::assert_snapshot!(short.err, @r#"{"refusal":"insufficient_stock","code":21,"message":"not enough stock: 012345678905 at main: 5 asked, 3 available; 036000291452 at main: 101 asked, 100 available","lines":[{"upc":"012345678905","location":"main","requested":5,"available":3},{"upc":"036000291452","location":"main","requested":101,"available":100}]}"#);
    let unknown = client.run(&["buy", "96385074", "1", "--format", "json"]).exits(1);
    insta::assert_snapshot!(unknown.err, @r#"{"refusal":"unknown_item","code":20,"message":"unknown item 96385074","lines":[]}"#);
}

#[test]
fn csv_has_the_same_names() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let stock = client.run(&["stock", BANANAS, "--format", "csv"]).exits(0);
    insta::assert_snapshot!(stock.out, @r#"
    upc,name,location,on_hand,reserved,available,price
    012345678905,"Organic Bananas, 1 lb",main,3,0,3,79
    "#);
    let bought = client.run(&["buy", BANANAS, "1", TISSUES, "2", "--format", "csv"]).exits(0);
    let mut lines = bought.out.lines();
    assert_eq!(lines.next(), Some("key,version,user,at,upc,location,units,total,charged"));
    assert!(lines.next().unwrap().ends_with(",012345678905,main,1,577,"), "{bought:#?}");
    assert!(lines.next().unwrap().ends_with(",036000291452,main,2,577,"), "{bought:#?}");
    let mine = client.run(&["mine", "--format", "csv"]).exits(0);
    insta::assert_snapshot!(mine.out, @r#"
    upc,name,units
    012345678905,"Organic Bananas, 1 lb",1
    036000291452,"Kleenex Facial Tissues, 160 count",2
    "#);
}

#[test]
fn tables_are_aligned_and_without_colour_on_a_pipe() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let stock = client.run(&["stock", BANANAS, "3017620422003"]).exits(0);
    insta::assert_snapshot!(stock.out, @r"
    upc            name                            location  on hand  reserved  available  price
    012345678905   Organic Bananas, 1 lb           main            3         0          3   0.79
    3017620422003  Nutella Hazelnut Spread, 400 g  main           84         0         84   4.99
    ");
    client.run(&["mine"]).exits(0).shows("nothing held");
}

#[test]
fn an_administrator_defines_sets_adds_and_imports() {
    let place = Place::new();
    let _server = place.serve();
    let admin = place.logged_in("admin");
    admin.run(&["item", "define", "96385074", "Gum", "--price", "0.99"]).exits(0).shows("96385074 is Gum");
    admin.run(&["item", "define", "96385075", "Gum"]).exits(2).tells("the check digit should be 4");
    admin.run(&["item", "define", "96385075", "House gum", "--no-check-digit"]).exits(0);
    admin.run(&["item", "define", "96385074", "Gum", "--price", "-1"]).exits(1).tells("never negative");
    admin.run(&["level", "set", "96385074", "7"]).exits(0);
    admin.run(&["level", "set", "96385074", "8"]).exits(1).tells("was set before");
    admin.run(&["level", "set", "96385074", "5", "--location", "2"]).exits(0);
    admin.run(&["level", "set", "96385074", "-5", "--location", "3"]).exits(2);
    let levels = admin.run(&["stock", "96385074", "--format", "json"]).exits(0).json();
    assert_eq!((&levels[1]["location"], &levels[1]["on_hand"]), (&"2".into(), &5.into()));

    let file = admin.home.join("items.csv");
    std::fs::write(&file, "upc,name,price,units\n96385074,Gum,0.99,1\n4006381333931,Marker,,9\n").unwrap();
    let file = file.to_str().unwrap();
    let imported = admin.run(&["import", file, "--format", "json"]).exits(0).json();
    assert_eq!(imported, serde_json::json!({"items": 2, "levels_set": 1, "levels_left": 1}));
    admin
        .run(&["import", file])
        .exits(0)
        .shows("96385074 at main: its level was set before")
        .shows("levels kept as they were: 2");
    assert_eq!(admin.available("4006381333931"), 9);

    admin.run_with("carol-password", &["user", "add", "carol"]).exits(0);
    admin.run_with("carol-password", &["user", "add", "carol"]).exits(1).tells("exists");
    place.client("carol").run_with("carol-password", &["login", "carol"]).exits(0).shows("carol (buyer)");
    place.logged_in("bob").run(&["item", "define", "96385074", "Gum"]).exits(1).tells("administrator");
}
