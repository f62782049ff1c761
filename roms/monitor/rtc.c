/* The wall clock: Goldfish RTC, nanoseconds since 1970-01-01 00:00:00 UTC. */

#include "monitor.h"

#define TIME_LOW    0x00    /* reading it also latches the high half */
#define TIME_HIGH   0x04

struct device *rtc;

void rtc_init(void)
{
    rtc = device_find("google,goldfish-rtc");
}

u64 rtc_nanoseconds(void)
{
    u64 low = read32(rtc->base + TIME_LOW);
    return (u64)read32(rtc->base + TIME_HIGH) << 32 | low;
}

/* Days to a date. A year is counted from March, so that the leap day is its last,
 * and 400 years, after which the calendar repeats, have 146097 days. */
void print_date(u64 seconds)
{
    u64 days = seconds / 86400 + 719468;            /* since 0000-03-01 */
    u64 era = days / 146097, day = days % 146097;
    u64 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    u64 in_year = day - (365 * year + year / 4 - year / 100);
    u64 month = (5 * in_year + 2) / 153;            /* 0 = March */
    u64 in_month = in_year - (153 * month + 2) / 5 + 1;
    u64 calendar = month < 10 ? month + 3 : month - 9;
    print("%lu-%02lu-%02lu %02lu:%02lu:%02lu UTC", era * 400 + year + (calendar <= 2), calendar,
          in_month, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}
