/* SPDX-License-Identifier: MIT
 *
 * Dates of RFC 9110 5.6.7. The calendar is the Gregorian one, computed here: the C library's
 * functions depend on a locale and a time zone, and seconds since 1970 have no leap seconds.
 */
#include <juggle/http_field.h>

#include "http/chars.h"
#include "http/output.h"

#include <errno.h>

static const char days[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { DAY = 24 * 60 * 60, DAYS_OF_400_YEARS = 146097, YEAR_0_TO_1970 = 719528 };

struct date {
    int year;
    int month; /* 0 to 11 */
    int day;   /* 1 to 31 */
    int hour;
    int minute;
    int second;
};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int month, int64_t year)
{
    static const int8_t counts[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return counts[month] + (month == 1 && is_leap(year));
}

/* Days from the first of January of year 0 to that of `year`, which is not negative. */
static int64_t days_before(int64_t year)
{
    return year == 0 ? 0 : year * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;
}

static int64_t seconds_of(const struct date *date)
{
    int64_t day = days_before(date->year) - YEAR_0_TO_1970 + date->day - 1;
    int month;

    for (month = 0; month < date->month; month++)
        day += days_of_month(month, date->year);
    return day * DAY + (int64_t)date->hour * 3600 + (int64_t)date->minute * 60 + date->second;
}

int jg_http_date_format(int64_t seconds, char buffer[JG_HTTP_DATE_SIZE])
{
    struct jg__output output = jg__output(buffer, JG_HTTP_DATE_SIZE);
    int64_t day, rest, year;
    int month = 0;

    if (seconds < -(int64_t)YEAR_0_TO_1970 * DAY ||
        seconds >= (days_before(10000) - YEAR_0_TO_1970) * DAY)
        return -ERANGE;
    seconds += (int64_t)YEAR_0_TO_1970 * DAY;
    day = seconds / DAY;
    rest = seconds % DAY;
    jg__output_text(&output, jg_text_of(days[(day + 6) % 7], 3)); /* year 0 began on a Saturday */
    year = day * 400 / DAYS_OF_400_YEARS;                         /* or the one before */
    while (days_before(year + 1) <= day)
        year++;
    while (days_before(year) > day)
        year--;
    day -= days_before(year);
    for (; day >= days_of_month(month, year); month++)
        day -= days_of_month(month, year);

    jg__output_string(&output, ", ");
    jg__output_number(&output, (uint64_t)day + 1, 2);
    jg__output_byte(&output, ' ');
    jg__output_string(&output, months[month]);
    jg__output_byte(&output, ' ');
    jg__output_number(&output, (uint64_t)year, 4);
    jg__output_byte(&output, ' ');
    jg__output_number(&output, (uint64_t)rest / 3600, 2);
    jg__output_byte(&output, ':');
    jg__output_number(&output, (uint64_t)rest / 60 % 60, 2);
    jg__output_byte(&output, ':');
    jg__output_number(&output, (uint64_t)rest % 60, 2);
    jg__output_string(&output, " GMT");
    return jg__output_end(&output, NULL);
}

static bool take_string(jg_text *text, const char *string)
{
    size_t size = strlen(string);

    if (text->size < size || memcmp(text->data, string, size) != 0)
        return false;
    *text = jg_text_of(text->data + size, text->size - size);
    return true;
}

/* Exactly `digits` digits, at most `limit`. */
static bool take_number(jg_text *text, int digits, int limit, int *ret_number)
{
    int number = 0, i;

    if (text->size < (size_t)digits)
        return false;
    for (i = 0; i < digits; i++) {
        if (!jg__is_digit(text->data[i]))
            return false;
        number = number * 10 + (text->data[i] - '0');
    }
    *text = jg_text_of(text->data + digits, text->size - (size_t)digits);
    *ret_number = number;
    return number <= limit;
}

static bool take_month(jg_text *text, int *ret_month)
{
    int month;

    for (month = 0; month < 12; month++) {
        if (take_string(text, months[month])) {
            *ret_month = month;
            return true;
        }
    }
    return false;
}

/* A leap second is taken for the second before it. */
static bool take_time(jg_text *text, struct date *date)
{
    bool taken = take_number(text, 2, 23, &date->hour) && take_string(text, ":") &&
                 take_number(text, 2, 59, &date->minute) && take_string(text, ":") &&
                 take_number(text, 2, 60, &date->second);

    if (taken && date->second == 60)
        date->second = 59;
    return taken;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", behind the name of the day. */
static bool parse_imf(jg_text text, struct date *date)
{
    return take_string(&text, ", ") && take_number(&text, 2, 31, &date->day) &&
           take_string(&text, " ") && take_month(&text, &date->month) && take_string(&text, " ") &&
           take_number(&text, 4, 9999, &date->year) && take_string(&text, " ") &&
           take_time(&text, date) && take_string(&text, " GMT") && text.size == 0;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT": a date more than 50 years ahead is of the century before. */
static bool parse_rfc850(jg_text text, struct date *date, int64_t now)
{
    const int64_t year = INT64_C(31556952);
    int64_t this_year = now > 0 && now < year * 8000 ? 1970 + now / year : 1970;

    if (!(take_string(&text, ", ") && take_number(&text, 2, 31, &date->day) &&
          take_string(&text, "-") && take_month(&text, &date->month) && take_string(&text, "-") &&
          take_number(&text, 2, 99, &date->year) && take_string(&text, " ") &&
          take_time(&text, date) && take_string(&text, " GMT") && text.size == 0))
        return false;
    date->year += (int)(this_year - this_year % 100);
    if (date->year > this_year + 50)
        date->year -= 100;
    else if (date->year <= this_year - 50)
        date->year += 100;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(jg_text text, struct date *date)
{
    return take_string(&text, " ") && take_month(&text, &date->month) && take_string(&text, " ") &&
           (take_string(&text, " ") ? take_number(&text, 1, 9, &date->day)
                                    : take_number(&text, 2, 31, &date->day)) &&
           take_string(&text, " ") && take_time(&text, date) && take_string(&text, " ") &&
           take_number(&text, 4, 9999, &date->year) && text.size == 0;
}

int jg_http_date_parse(jg_text date, int64_t now, int64_t *ret_seconds)
{
    struct date parsed = {0};
    bool valid = false;
    int day;

    /* The day of the week is read and not verified: it says nothing that the date does not. */
    for (day = 0; day < 7 && !valid; day++) {
        char name[4] = {days[day][0], days[day][1], days[day][2], '\0'};
        jg_text rest = date;

        if (take_string(&rest, days[day]))
            valid = parse_rfc850(rest, &parsed, now);
        else if (take_string(&rest, name))
            valid = parse_imf(rest, &parsed) || parse_asctime(rest, &parsed);
    }
    if (!valid || parsed.day < 1 || parsed.day > days_of_month(parsed.month, parsed.year))
        return -EINVAL;
    *ret_seconds = seconds_of(&parsed);
    return 0;
}
