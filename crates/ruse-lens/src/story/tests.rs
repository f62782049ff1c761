use ruse_event::{Class, Event, Flow, Operation, Origin, Step, What};

use super::*;

fn scene() -> Scene {
    let mut scene = Scene::new(0x8000_0000, 1 << 30);
    let uart: ruse_bus::Names =
        |offset, write| (offset == 0).then(|| if write { "THR" } else { "RBR" }.into());
    scene.place("uart", 0x1000_0000, 8, Some(10), uart);
    scene.place("disk", 0x1000_1000, 0x1000, Some(1), |_, _| None);
    scene.place("disk", 0x1000_2000, 0x1000, Some(2), |_, _| None);
    scene.place("net", 0x1000_3000, 0x1000, Some(3), |_, _| None);
    scene.set_media([Medium {
        path: "disk-1.qcow2".into(),
        size: 50 << 30,
    }]);
    scene.with_symbols([(0x8000_0100, "main".into())].into_iter().collect())
}

fn told(origin: Origin, what: What) -> Lie {
    let event = Event {
        time: 0,
        origin,
        class: Class::Trap,
        what,
    };
    Teller::new(scene()).tell(&event)
}

#[test]
fn devices_of_a_kind_are_numbered() {
    let scene = scene();
    let names: Vec<_> = scene.props.iter().map(|prop| prop.name.as_str()).collect();
    assert_eq!(names, ["uart", "disk0", "disk1", "net"]);
    assert_eq!(scene.source(2).unwrap().name, "disk1");
    assert_eq!(
        scene.named("disk0").unwrap().medium.as_ref().unwrap().size,
        50 << 30
    );
    assert!(scene.named("disk1").unwrap().medium.is_none());
}

#[test]
fn both_sides_of_a_register_and_a_sector_are_told() {
    let lie = told(
        Origin::Hart(0),
        What::Mmio {
            pc: 0x8000_0104,
            base: 0x1000_0000,
            offset: 0,
            width: 1,
            value: b'H'.into(),
            write: true,
        },
    );
    assert_eq!(
        lie.guest,
        "the store at main+0x4 writes 0x48 'H' to THR of uart"
    );
    assert!(
        lie.host.starts_with("uart.rs: write(0x0, 1 byte, 0x48)"),
        "{}",
        lie.host
    );
    let disk = Origin::Device(0x1000_1000);
    let lie = told(
        disk,
        What::Disk {
            operation: Operation::Write,
            sector: 2048,
            count: 1,
            failed: false,
        },
    );
    assert_eq!(lie.guest, "wrote sector 2048 of a 50 GiB SSD");
    let lie = told(
        disk,
        What::Image {
            operation: Operation::Write,
            offset: 2048 * 512,
            len: 512,
            host: Some(0x5_0000),
            cluster: Some(65536),
            allocated: true,
        },
    );
    assert_eq!(
        lie.host,
        "disk-1.qcow2: cluster 16 allocated at 0x50000 of the file"
    );
}

#[test]
fn frames_are_told_with_the_sockets_behind_them() {
    let mut teller = Teller::new(scene());
    let guest: SocketAddr = "10.0.2.15:80".parse().unwrap();
    let far: SocketAddr = "10.0.2.2:40000".parse().unwrap();
    let host: SocketAddr = "127.0.0.1:8081".parse().unwrap();
    let origin = Origin::Device(0x1000_3000);
    let event = |what| Event {
        time: 0,
        origin,
        class: Class::Net,
        what,
    };
    let mut head = vec![0; 12];
    head.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    head.extend([10, 0, 2, 2, 10, 0, 2, 15]);
    head.extend(40000u16.to_be_bytes());
    head.extend(80u16.to_be_bytes());
    head.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2]);
    let frame = |head: &[u8]| {
        event(What::Frame {
            to_guest: true,
            len: 54,
            head: head.to_vec(),
        })
    };
    let lie = teller.tell(&frame(&head));
    assert_eq!(
        lie.guest,
        "net received TCP SYN from 10.0.2.2:40000, 54 bytes"
    );
    assert!(lie.host.contains("no packet leaves"), "{}", lie.host);
    let opened = What::Flow {
        protocol: "tcp",
        guest,
        far,
        host: Some(host),
        flow: Flow::Opened,
    };
    teller.tell(&event(opened));
    let lie = teller.tell(&frame(&head));
    assert!(lie.host.contains("127.0.0.1:8081"), "{}", lie.host);
    // Whatever is cut off is only told less of.
    for len in 0..head.len() {
        teller.tell(&frame(&head[..len]));
    }
}

#[test]
fn a_walk_names_every_entry() {
    let lie = told(
        Origin::Hart(0),
        What::Walk {
            va: 0x1000,
            access: ruse_event::Access::Load,
            root: 0x8100_0000,
            steps: vec![
                Step {
                    at: 0x8100_0000,
                    pte: 0x2040_0401,
                },
                Step {
                    at: 0x8100_1008,
                    pte: 0x2000_00cf,
                },
            ],
            pa: Some(0x8000_0000),
        },
    );
    assert!(
        lie.guest
            .contains("walks from the table at 0x81000000 to physical 0x80000000")
    );
    assert!(lie.host.contains("2 entries") && lie.host.contains("[0x81001008]=0x200000cf"));
}

#[test]
fn sizes_read_as_people_say_them() {
    for (len, said) in [
        (1, "1 byte"),
        (512, "512 bytes"),
        (4096, "4 KiB"),
        (50 << 30, "50 GiB"),
        ((10 << 20) + 1, "10.0 MiB"),
        ((2 << 30) + 512, "2048.0 MiB"),
    ] {
        assert_eq!(bytes(len), said);
    }
}
