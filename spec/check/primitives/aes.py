"""AES-128 encryption of a block (FIPS 197) and counter mode with a 32-bit counter."""


def _make_sbox() -> bytes:
    sbox = bytearray(256)
    sbox[0] = 0x63
    p = q = 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)  # p times 3
        q ^= q << 1  # q divided by 3
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        x = q
        for turn in (1, 2, 3, 4):
            x ^= ((q << turn) | (q >> (8 - turn))) & 0xFF
        sbox[p] = x ^ 0x63
        if p == 1:
            return bytes(sbox)


SBOX = _make_sbox()
DOUBLE = bytes(((x << 1) ^ (0x1B if x & 0x80 else 0)) & 0xFF for x in range(256))
SHIFT_ROWS = [(i + 4 * (i % 4)) % 16 for i in range(16)]  # column by column, as AES lays out its state


def expand_key(key: bytes) -> list[bytes]:
    assert len(key) == 16
    words = [key[i : i + 4] for i in range(0, 16, 4)]
    rcon = 1
    for i in range(4, 44):
        word = words[i - 1]
        if i % 4 == 0:
            word = bytes(SBOX[x] for x in word[1:] + word[:1])
            word = bytes([word[0] ^ rcon]) + word[1:]
            rcon = DOUBLE[rcon]
        words.append(bytes(a ^ b for a, b in zip(words[i - 4], word)))
    return [b"".join(words[i : i + 4]) for i in range(0, 44, 4)]


def encrypt_block(round_keys: list[bytes], block: bytes) -> bytes:
    state = bytes(a ^ b for a, b in zip(block, round_keys[0]))
    for number in range(1, 11):
        state = bytes(SBOX[state[i]] for i in SHIFT_ROWS)
        if number < 10:
            mixed = bytearray()
            for i in range(0, 16, 4):
                a, b, c, d = state[i : i + 4]
                every = a ^ b ^ c ^ d
                mixed += bytes((a ^ every ^ DOUBLE[a ^ b], b ^ every ^ DOUBLE[b ^ c],
                                c ^ every ^ DOUBLE[c ^ d], d ^ every ^ DOUBLE[d ^ a]))
            state = mixed
        state = bytes(a ^ b for a, b in zip(state, round_keys[number]))
    return state


def counter_mode(key: bytes, nonce: bytes, first: int, text: bytes) -> bytes:
    """Encrypts or decrypts with the counter blocks `nonce ‖ u32(first)`, `nonce ‖ u32(first + 1)` …"""
    round_keys = expand_key(key)
    out = bytearray()
    for offset in range(0, len(text), 16):
        counter = (first + offset // 16).to_bytes(4, "big")
        block = encrypt_block(round_keys, nonce + counter)
        out += bytes(a ^ b for a, b in zip(text[offset : offset + 16], block))
    return bytes(out)
