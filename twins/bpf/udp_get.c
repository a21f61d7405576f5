// SPDX-License-Identifier: MIT OR Apache-2.0
// A key-value server over UDP at the XDP hook: what `Table::serve` of twins/src/table.rs answers, in the packet that asked.
//
// Needs no header: the types, the one helper and the map's description are the kernel's stable interface (include/uapi/linux/bpf.h).
// ENTRIES, MESSAGE_BYTES and PORT are given by the command that compiles this file. The helper is open to programs under any licence.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

// enum xdp_action
#define XDP_DROP 1
#define XDP_PASS 2
#define XDP_TX 3
// enum bpf_map_type
#define BPF_MAP_TYPE_ARRAY 2

struct xdp_md {
    u32 data;
    u32 data_end;
    u32 data_meta;
    u32 ingress_ifindex;
    u32 rx_queue_index;
    u32 egress_ifindex;
};

struct value {
    u64 words[MESSAGE_BYTES / 8];
};

// the description of a map that loaders read from the program's types
struct {
    int (*type)[BPF_MAP_TYPE_ARRAY];
    int (*max_entries)[ENTRIES];
    u32 *key;
    struct value *value;
} values SECTION(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

// Ethernet, IPv4 without options, and UDP, in halves of words: the frame begins where its addresses lie on no boundary of four bytes.
struct headers {
    u16 to[3];
    u16 from[3];
    u16 ether_type;
    u8 version_and_length;
    u8 service;
    u16 total_length;
    u16 identification;
    u16 fragment;
    u8 time_to_live;
    u8 protocol;
    u16 header_checksum;
    u16 source[2];
    u16 destination[2];
    u16 source_port;
    u16 destination_port;
    u16 length;
    u16 checksum;
};

struct request {
    struct headers *headers;
    struct value *message;
};

#define ETHER_TYPE_IPV4 0x0800
#define VERSION_4_WITHOUT_OPTIONS 0x45
#define PROTOCOL_UDP 17

// Finds the request in a packet, if it is one.
INLINE int request_in(struct xdp_md *context, struct request *request)
{
    struct headers *headers = (void *)(long)context->data;
    request->headers = headers;
    request->message = (void *)(headers + 1);
    return (void *)(request->message + 1) <= (void *)(long)context->data_end && headers->ether_type == __builtin_bswap16(ETHER_TYPE_IPV4) &&
           headers->version_and_length == VERSION_4_WITHOUT_OPTIONS && headers->protocol == PROTOCOL_UDP &&
           headers->destination_port == __builtin_bswap16(PORT);
}

INLINE void swap(u16 *one, u16 *other, int count)
{
    for (int place = 0; place < count; place++) {
        u16 half = one[place];
        one[place] = other[place];
        other[place] = half;
    }
}

// Sender and receiver change places. Neither checksum changes by it; that of UDP is left out, as IPv4 allows, since the message changes.
INLINE void send_back(struct headers *headers)
{
    swap(headers->to, headers->from, 3);
    swap(headers->source, headers->destination, 2);
    swap(&headers->source_port, &headers->destination_port, 1);
    headers->checksum = 0;
}

// Answers a request; every other packet goes on.
SECTION("xdp")
int answer(struct xdp_md *context)
{
    struct request request;
    if (!request_in(context, &request))
        return XDP_PASS;
    u64 key = __builtin_bswap64(request.message->words[0]);
    u32 place = (u32)(key * 0x9e3779b97f4a7c15ull >> 32) % ENTRIES;
    struct value *found = bpf_map_lookup_elem(&values, &place);
    if (!found)
        return XDP_PASS;
    *request.message = *found;
    send_back(request.headers);
    return XDP_TX;
}

// Drops a request: what comes up to the hook and no further.
SECTION("xdp")
int drop(struct xdp_md *context)
{
    struct request request;
    return request_in(context, &request) ? XDP_DROP : XDP_PASS;
}
