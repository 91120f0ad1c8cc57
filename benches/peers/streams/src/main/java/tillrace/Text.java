package tillrace;

/** Decimals and instants of checked events, read without java.time and BigDecimal, which cost more than the JSON around them. */
final class Text {
    private Text() {}

    /** A decimal with at most six places, in millionths. */
    static long millionths(String text) {
        boolean negative = text.charAt(0) == '-';
        long number = 0;
        int places = -1;
        for (int at = negative ? 1 : 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c == '.') {
                places = 0;
            } else {
                number = number * 10 + (c - '0');
                if (places >= 0) {
                    places++;
                }
            }
        }
        for (int place = Math.max(places, 0); place < 6; place++) {
            number *= 10;
        }
        return negative ? -number : number;
    }

    /** An instant of RFC 3339, in milliseconds since 1970. */
    static long instantMs(String text) {
        long days = daysSince1970(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2));
        long seconds = days * 86_400 + digits(text, 11, 2) * 3_600L + digits(text, 14, 2) * 60L + digits(text, 17, 2);
        int at = 19;
        long millis = 0;
        if (text.charAt(at) == '.') {
            int unit = 100;
            for (at++; Character.isDigit(text.charAt(at)); at++) {
                millis += (text.charAt(at) - '0') * (long) unit;
                unit /= 10;
            }
        }
        char zone = text.charAt(at);
        if (zone == '+' || zone == '-') {
            long offset = digits(text, at + 1, 2) * 3_600L + digits(text, at + 4, 2) * 60L;
            seconds -= zone == '+' ? offset : -offset;
        }
        return seconds * 1_000 + millis;
    }

    private static int digits(String text, int at, int count) {
        int number = 0;
        for (int place = at; place < at + count; place++) {
            number = number * 10 + (text.charAt(place) - '0');
        }
        return number;
    }

    /** Howard Hinnant's days_from_civil. */
    private static long daysSince1970(int year, int month, int day) {
        long y = month <= 2 ? year - 1L : year;
        long era = Math.floorDiv(y, 400);
        long yearOfEra = y - era * 400;
        long dayOfYear = (153L * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        long dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
        return era * 146_097 + dayOfEra - 719_468;
    }
}
