/* SPDX-License-Identifier: MIT */
#include "io/dns_message.h"

#include <errno.h>
#include <string.h>

#define HEADER    12
#define MAX_LABEL 63
#define MAX_JUMPS 128 /* from pointer to pointer: more than a name has labels */
#define POINTER   0xc0u
#define OPT       41
#define CNAME     5
#define IN        1

#define QR        0x8000u
#define OPCODE    0x7800u
#define TC        0x0200u
#define RD        0x0100u
#define CODE_MASK 0x000fu

struct name {
    int size;
    uint8_t bytes[JG__DNS_NAME];
};

/* What is read, and how far. Reading beyond the end fails for good, with zeros. */
struct reader {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool failed;
};

struct record {
    struct name owner;
    uint16_t type, class;
    size_t data;   /* where it begins */
    uint16_t size; /* of the data */
};

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

static void skip(struct reader *reader, size_t count)
{
    if (reader->size - reader->at < count)
        reader->failed = true;
    else
        reader->at += count;
}

static uint8_t read_8(struct reader *reader)
{
    const size_t at = reader->at;

    skip(reader, 1);
    return reader->failed ? 0 : reader->bytes[at];
}

static uint16_t read_16(struct reader *reader)
{
    const unsigned high = read_8(reader);

    return (uint16_t)(high << 8 | read_8(reader));
}

/* Add a label to a name, or with length 0 its end. */
static bool append_label(struct name *name, const uint8_t *label, int length)
{
    if (name->size + 1 + length > JG__DNS_NAME)
        return false;

    name->bytes[name->size++] = (uint8_t)length;
    for (int i = 0; i < length; i++)
        name->bytes[name->size++] = lower(label[i]);
    return true;
}

static void read_label(struct reader *reader, int length, struct name *name)
{
    const size_t at = reader->at;

    reader->failed |= length > MAX_LABEL;
    skip(reader, (size_t)length);
    if (!reader->failed)
        reader->failed = !append_label(name, reader->bytes + at, length);
}

/* A pointer leads to before the labels that it is read after, each further than the last. */
static void read_name(struct reader *reader, struct name *ret_name)
{
    struct reader part = *reader;
    size_t lowest = reader->at;
    bool ended = false;
    int jumps = 0;

    ret_name->size = 0;
    while (!ended && !part.failed) {
        const unsigned length = read_8(&part);
        size_t target;

        if ((length & POINTER) != POINTER) {
            read_label(&part, (int)length, ret_name);
            ended = length == 0;
            continue;
        }

        target = (length & ~POINTER) << 8 | read_8(&part);
        if (jumps++ == 0)
            reader->at = part.at;
        part.failed |= target >= lowest || jumps > MAX_JUMPS;
        lowest = part.at = target;
    }

    if (jumps == 0)
        reader->at = part.at;
    reader->failed |= part.failed;
}

static void read_record(struct reader *reader, struct record *ret_record)
{
    read_name(reader, &ret_record->owner);
    ret_record->type = read_16(reader);
    ret_record->class = read_16(reader);
    skip(reader, 4); /* the time to live: nothing is kept */
    ret_record->size = read_16(reader);
    ret_record->data = reader->at;
    skip(reader, ret_record->size);
}

static bool same(const struct name *a, const struct name *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, (size_t)a->size) == 0;
}

/* Whether the message begins as an answer to the question, which the reader then is behind. */
static bool answers(struct reader *reader, const jg__dns_question *question, unsigned *ret_flags,
                    uint16_t *ret_records)
{
    const uint16_t id = read_16(reader);
    const unsigned flags = read_16(reader);
    const uint16_t questions = read_16(reader);
    struct name name;

    *ret_flags = flags;
    *ret_records = read_16(reader);
    skip(reader, 4); /* the other two sections are not looked at */
    if (reader->failed || id != question->id || (flags & (QR | OPCODE)) != QR)
        return false;
    if (questions == 0 && (flags & CODE_MASK) == JG__DNS_FORMERR)
        return true; /* as some do that do not know EDNS */
    if (questions != 1)
        return false;

    read_name(reader, &name);
    return read_16(reader) == question->type && read_16(reader) == IN && !reader->failed &&
           name.size == question->size &&
           memcmp(name.bytes, question->name, (size_t)name.size) == 0;
}

/* Follow one alias of `owner` from the records. */
static bool follow(struct reader records, unsigned count, struct name *owner)
{
    struct record record;

    for (unsigned i = 0; i < count && !records.failed; i++) {
        read_record(&records, &record);
        if (!records.failed && record.type == CNAME && record.class == IN &&
            same(&record.owner, owner)) {
            records.at = record.data;
            read_name(&records, owner);
            return !records.failed && records.at == record.data + record.size;
        }
    }
    return false;
}

static void collect(struct reader records, unsigned count, const struct name *owner, uint16_t type,
                    jg__dns_answer *answer)
{
    const uint16_t size = type == JG__DNS_A ? 4 : 16;
    struct record record;

    answer->count = 0;
    for (unsigned i = 0; i < count && answer->count < JG__DNS_ADDRESSES; i++) {
        read_record(&records, &record);
        if (record.type == type && record.class == IN && record.size == size &&
            same(&record.owner, owner))
            memcpy(answer->addresses[answer->count++], records.bytes + record.data, size);
    }
}

/* Whether all of the records can be read. */
static bool is_whole(struct reader records, unsigned count)
{
    struct record record;

    for (unsigned i = 0; i < count && !records.failed; i++)
        read_record(&records, &record);
    return !records.failed;
}

int jg__dns_decode(const uint8_t *message, size_t size, const jg__dns_question *question,
                   jg__dns_answer *ret_answer)
{
    struct reader reader = {.bytes = message, .size = size};
    struct name owner = {.size = question->size};
    jg__dns_answer answer = {0};
    unsigned flags;
    uint16_t records;

    if (!answers(&reader, question, &flags, &records))
        return -ENOMSG;

    if (records > JG__DNS_RECORDS)
        records = JG__DNS_RECORDS;
    answer.code = (int)(flags & CODE_MASK);
    answer.truncated = flags & TC;
    if (!answer.truncated) {
        if (!is_whole(reader, records))
            return -EBADMSG;
    }
    if (!answer.truncated && answer.code == JG__DNS_NOERROR) {
        memcpy(owner.bytes, question->name, (size_t)question->size);
        for (int i = 0; i < JG__DNS_ALIASES && answer.count == 0; i++) {
            collect(reader, records, &owner, question->type, &answer);
            if (answer.count == 0 && !follow(reader, records, &owner))
                break;
        }
    }
    *ret_answer = answer;
    return 0;
}

int jg__dns_ask(jg__dns_question *question, const char *name, uint16_t type)
{
    struct name wire = {.size = 0};

    do {
        const char *dot = strchr(name, '.');
        const size_t length = dot ? (size_t)(dot - name) : strlen(name);

        if (length == 0 || length > MAX_LABEL ||
            !append_label(&wire, (const uint8_t *)name, (int)length))
            return -EINVAL;
        name += length + (dot != NULL);
    } while (*name);

    if (!append_label(&wire, NULL, 0))
        return -EINVAL;

    question->id = 0;
    question->type = type;
    question->size = wire.size;
    memcpy(question->name, wire.bytes, (size_t)wire.size);
    return 0;
}

static uint8_t *write_16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}

int jg__dns_encode(const jg__dns_question *question, bool edns, uint8_t query[JG__DNS_QUERY])
{
    uint8_t *to = query;

    to = write_16(to, question->id);
    to = write_16(to, RD);
    to = write_16(to, 1); /* question */
    to = write_16(to, 0);
    to = write_16(to, 0);
    to = write_16(to, edns);
    memcpy(to, question->name, (size_t)question->size);
    to = write_16(to + question->size, question->type);
    to = write_16(to, IN);
    if (edns) {
        *to++ = 0; /* the root owns the record of the extension */
        to = write_16(to, OPT);
        to = write_16(to, JG__DNS_PAYLOAD);
        to = write_16(to, 0); /* no flags */
        to = write_16(to, 0);
        to = write_16(to, 0); /* no data */
    }
    return (int)(to - query);
}
