//! What a REQUEST frame can ask, and which messages go with it.

/// A method's number on the link. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Method {
    /// `ReadyRequest` → `ReadyAnswer`.
    Ready = 1,
    /// `CreateUserRequest` → `User`.
    CreateUser = 16,
    /// `LoginRequest` → `LoginAnswer`.
    Login = 17,
    /// `CallerRequest` → `Empty`.
    Logout = 18,
    /// `CallerRequest` → `User`.
    GetMe = 19,
    /// `EditMeRequest` → `User`.
    EditMe = 20,
    /// `SetPictureRequest`, then the bytes as PUSH items → `User`.
    SetPicture = 21,
    /// `CallerRequest` → `User`.
    DropPicture = 22,
    /// `ChangePasswordRequest` → `Empty`.
    ChangePassword = 23,
    /// `DeleteMeRequest` → `Empty`.
    DeleteMe = 24,
    /// `CallerRequest` → `SessionList`.
    ListSessions = 25,
    /// `RevokeSessionRequest` → `Empty`.
    RevokeSession = 26,
    /// `CallerRequest` → `Empty`.
    RevokeOtherSessions = 27,
    /// `GetUserRequest` → `User`.
    GetUser = 28,
    /// `GetUserByNameRequest` → `User`.
    GetUserByName = 29,
    /// `SearchUsersRequest` → `UserPage`.
    SearchUsers = 30,
    /// `GetPictureRequest` → `PictureHead`, then the bytes as PUSH items.
    GetPicture = 31,
    /// `GetPageRequest` → `Page`.
    GetPage = 48,
    /// `GetNeighboursRequest` → `Page`.
    GetNeighbours = 49,
    /// `GetRankRequest` → `Rank`.
    GetRank = 50,
    /// `GetDistributionRequest` → `Distribution`.
    GetDistribution = 51,
    /// `ListSeasonsRequest` → `SeasonList`.
    ListSeasons = 52,
    /// `WatchBoardRequest` → `Empty`, then each `BoardNews` as a PUSH item.
    WatchBoard = 53,
    /// `SetRatingRequest` → `RatingDone`.
    SetRating = 54,
    /// `SetRatingsRequest` → `RatingOutcomes`.
    SetRatings = 55,
    /// `RecordMatchRequest` → `MatchDone`.
    RecordMatch = 56,
    /// `HideUserRequest` → `HideUserAnswer`.
    HideUser = 57,
    /// `CreateAuctionRequest` → `Auction`.
    CreateAuction = 64,
    /// `EditAuctionRequest` → `Auction`.
    EditAuction = 65,
    /// `AuctionRequest` → `Auction`.
    CancelAuction = 66,
    /// `AuctionRequest` → `Auction`.
    GetAuction = 67,
    /// `ListAuctionsRequest` → `AuctionPage`.
    ListAuctions = 68,
    /// `PlaceBidsRequest` → `BidOutcomes`.
    PlaceBids = 69,
    /// `ListBidsRequest` → `BidPage`.
    ListBids = 70,
    /// `AuctionRequest` → `Bidder`.
    GetBidder = 71,
    /// `AuctionRequest` → `Settlement`.
    GetSettlement = 72,
    /// `SetWatchedRequest` → `Empty`.
    SetWatched = 73,
    /// `SetAuctionPictureRequest`, then the bytes as PUSH items → `Auction`.
    SetAuctionPicture = 74,
    /// `AuctionRequest` → `Auction`.
    DropAuctionPicture = 75,
    /// `AuctionRequest` → `Empty`, then each `AuctionNews` as a PUSH item.
    WatchAuction = 76,
    /// `ListNotificationsRequest` → `NotificationPage`.
    ListNotifications = 77,
    /// `ReadNotificationsRequest` → `Empty`.
    ReadNotifications = 78,
}

impl Method {
    /// Every method, in order of number.
    pub const ALL: [Method; 42] = [
        Method::Ready,
        Method::CreateUser,
        Method::Login,
        Method::Logout,
        Method::GetMe,
        Method::EditMe,
        Method::SetPicture,
        Method::DropPicture,
        Method::ChangePassword,
        Method::DeleteMe,
        Method::ListSessions,
        Method::RevokeSession,
        Method::RevokeOtherSessions,
        Method::GetUser,
        Method::GetUserByName,
        Method::SearchUsers,
        Method::GetPicture,
        Method::GetPage,
        Method::GetNeighbours,
        Method::GetRank,
        Method::GetDistribution,
        Method::ListSeasons,
        Method::WatchBoard,
        Method::SetRating,
        Method::SetRatings,
        Method::RecordMatch,
        Method::HideUser,
        Method::CreateAuction,
        Method::EditAuction,
        Method::CancelAuction,
        Method::GetAuction,
        Method::ListAuctions,
        Method::PlaceBids,
        Method::ListBids,
        Method::GetBidder,
        Method::GetSettlement,
        Method::SetWatched,
        Method::SetAuctionPicture,
        Method::DropAuctionPicture,
        Method::WatchAuction,
        Method::ListNotifications,
        Method::ReadNotifications,
    ];

    /// The method with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Method> {
        Method::ALL.into_iter().find(|method| *method as u16 == number)
    }

    /// The method's name, for logs and measurements.
    pub fn name(self) -> &'static str {
        match self {
            Method::Ready => "Ready",
            Method::CreateUser => "CreateUser",
            Method::Login => "Login",
            Method::Logout => "Logout",
            Method::GetMe => "GetMe",
            Method::EditMe => "EditMe",
            Method::SetPicture => "SetPicture",
            Method::DropPicture => "DropPicture",
            Method::ChangePassword => "ChangePassword",
            Method::DeleteMe => "DeleteMe",
            Method::ListSessions => "ListSessions",
            Method::RevokeSession => "RevokeSession",
            Method::RevokeOtherSessions => "RevokeOtherSessions",
            Method::GetUser => "GetUser",
            Method::GetUserByName => "GetUserByName",
            Method::SearchUsers => "SearchUsers",
            Method::GetPicture => "GetPicture",
            Method::GetPage => "GetPage",
            Method::GetNeighbours => "GetNeighbours",
            Method::GetRank => "GetRank",
            Method::GetDistribution => "GetDistribution",
            Method::ListSeasons => "ListSeasons",
            Method::WatchBoard => "WatchBoard",
            Method::SetRating => "SetRating",
            Method::SetRatings => "SetRatings",
            Method::RecordMatch => "RecordMatch",
            Method::HideUser => "HideUser",
            Method::CreateAuction => "CreateAuction",
            Method::EditAuction => "EditAuction",
            Method::CancelAuction => "CancelAuction",
            Method::GetAuction => "GetAuction",
            Method::ListAuctions => "ListAuctions",
            Method::PlaceBids => "PlaceBids",
            Method::ListBids => "ListBids",
            Method::GetBidder => "GetBidder",
            Method::GetSettlement => "GetSettlement",
            Method::SetWatched => "SetWatched",
            Method::SetAuctionPicture => "SetAuctionPicture",
            Method::DropAuctionPicture => "DropAuctionPicture",
            Method::WatchAuction => "WatchAuction",
            Method::ListNotifications => "ListNotifications",
            Method::ReadNotifications => "ReadNotifications",
        }
    }

    /// Whether asking twice does no more than asking once, so that a request whose link was lost
    /// may be sent again elsewhere.
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Method::Ready
                | Method::GetMe
                | Method::ListSessions
                | Method::GetUser
                | Method::GetUserByName
                | Method::SearchUsers
                | Method::GetPage
                | Method::GetNeighbours
                | Method::GetRank
                | Method::GetDistribution
                | Method::ListSeasons
                | Method::GetAuction
                | Method::ListAuctions
                | Method::ListBids
                | Method::GetBidder
                | Method::GetSettlement
                | Method::ListNotifications
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn numbers_are_unique_and_found_again() {
        for method in Method::ALL {
            assert_eq!(Method::from_number(method as u16), Some(method));
        }
        assert_eq!(Method::from_number(0), None);
        assert_eq!(Method::from_number(u16::MAX), None);
    }
}
