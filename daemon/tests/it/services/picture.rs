//! Pictures: taken in, served, taken away.

use super::{Shop, asked_by, code, field, in_shop, soon, stranger};
use souk_proto::accounts::{GetPictureRequest, SetPictureRequest, User};
use souk_proto::common::Caller;
use souk_proto::{Code, Failure};
use soukd::services::accounts;
use soukd::session::stream::BodyStream;

/// A picture of one colour, as PNG.
fn png(shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(90, 70, image::Rgb([shade, 0, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encode");
    bytes.into_inner()
}

async fn set(shop: &Shop, caller: &Caller, bytes: &[u8]) -> Result<User, Failure> {
    let body = BodyStream::of(bytes.chunks(100).map(<[u8]>::to_vec));
    // No announced length is believed.
    let request = SetPictureRequest { caller: Some(caller.clone()), length: 1 };
    accounts::set_picture(&shop.cx, request, body, soon()).await
}

async fn get(shop: &Shop, hash: &str, size: u32) -> Result<(String, Vec<u8>), Failure> {
    let request = GetPictureRequest { caller: None, hash: hash.into(), size };
    let (head, file) = accounts::get_picture(&shop.cx, request, soon()).await?;
    let mut bytes = Vec::new();
    loop {
        let piece = file.read_at(bytes.len() as u64, Vec::with_capacity(100)).await?;
        assert!(piece.len() <= 100);
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(head.length, bytes.len() as u64);
    Ok((head.media_type, bytes))
}

#[test]
fn an_uploaded_picture_is_served_in_both_sizes_under_the_hash_of_its_content() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let user = set(shop, &caller, &png(200)).await.expect("set");
        assert_eq!(shop.me(&caller).await.expect("me"), user);
        for (size, edge) in [(256, 256), (64, 64), (0, 256)] {
            let (media_type, bytes) = get(shop, &user.picture, size).await.expect("get");
            assert_eq!(media_type, "image/jpeg");
            let picture = image::load_from_memory(&bytes).expect("decodes");
            assert_eq!((picture.width(), picture.height()), (edge, edge));
            if edge == 256 {
                assert_eq!(blake3::hash(&bytes).to_hex().as_str(), user.picture);
            }
        }
        let other = shop.enter("bob").await;
        let same = set(shop, &other, &png(200)).await.expect("set");
        assert_eq!(same.picture, user.picture, "stored once, whoever uploads it");
        let changed = set(shop, &caller, &png(90)).await.expect("set");
        assert_ne!(changed.picture, user.picture);
    });
}

#[test]
fn a_picture_that_is_taken_away_is_gone_from_the_profile() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        set(shop, &caller, &png(200)).await.expect("set");
        let user = accounts::drop_picture(&shop.cx, asked_by(&caller), soon()).await;
        assert_eq!(user.expect("drop").picture, "");
        assert_eq!(shop.me(&caller).await.expect("me").picture, "");
    });
}

#[test]
fn what_is_no_picture_is_refused_and_the_profile_stays() {
    in_shop(async |shop| {
        let caller = shop.enter("ann").await;
        let before = set(shop, &caller, &png(200)).await.expect("set");
        let whole = png(10);
        for (bytes, expected) in [
            (&b""[..], Code::PictureInvalid),
            (b"<html><script>alert(1)</script></html>", Code::PictureUnsupported),
            (&whole[..whole.len() / 2], Code::PictureInvalid),
            (&vec![0; 5 * 1024 * 1024 + 1], Code::PictureTooLarge),
        ] {
            assert_eq!(code(set(shop, &caller, bytes).await), expected);
        }
        let request = SetPictureRequest { caller: Some(caller.clone()), length: 6 << 20 };
        let refused = accounts::set_picture(&shop.cx, request, BodyStream::of([]), soon()).await;
        assert_eq!(code(refused), Code::PictureTooLarge);
        assert_eq!(code(set(shop, &stranger(1), &png(1)).await), Code::Unauthenticated);
        assert_eq!(shop.me(&caller).await.expect("me"), before);
    });
}

#[test]
fn only_stored_pictures_are_served_and_only_in_their_sizes() {
    in_shop(async |shop| {
        for hash in ["", "../../../../etc/passwd", &"0".repeat(64), &"A".repeat(64)] {
            assert_eq!(code(get(shop, hash, 256).await), Code::PictureNotFound, "{hash}");
        }
        assert_eq!(field(get(shop, &"0".repeat(64), 128).await), "size");
    });
}
