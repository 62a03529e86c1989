/**
 * The messages of the arena, as crates/torque-cli/src/commands/demo/arena/wire.rs lists them. What the host sends is read
 * as carefully as if anybody had sent it: every reader throws a {@link Malformed}, and nothing else.
 */
/** Bytes that mean nothing in this game. */
export class Malformed extends Error {
}
/** Reads fields one after the other. */
export class Reader {
    #view;
    #at = 0;
    constructor(bytes) {
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    #take(count) {
        const at = this.#at;
        if (at + count > this.#view.byteLength)
            throw new Malformed("it ends too early");
        this.#at += count;
        return at;
    }
    byte() {
        return this.#view.getUint8(this.#take(1));
    }
    short() {
        return this.#view.getUint16(this.#take(2));
    }
    long() {
        return this.#view.getUint32(this.#take(4));
    }
    number() {
        let number = 0;
        for (let place = 0; place < 5; place++) {
            const byte = this.byte();
            // Not by shifting, which would make it a signed number of 32 bits.
            number += (byte & 0x7f) * 2 ** (7 * place);
            if (byte < 0x80) {
                if (number > 0xffff_ffff)
                    break;
                return number;
            }
        }
        throw new Malformed("a number has more than 32 bits");
    }
    signed() {
        const number = this.number();
        return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
    }
    bytes(count) {
        const at = this.#take(count);
        return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, count).slice();
    }
    text() {
        try {
            return new TextDecoder("utf-8", { fatal: true }).decode(this.bytes(this.byte()));
        }
        catch (error) {
            if (error instanceof Malformed)
                throw error;
            throw new Malformed("a text is no UTF-8");
        }
    }
    letters() {
        const count = this.byte();
        if (count > MAX_LETTERS)
            throw new Malformed("too many letters");
        return Array.from({ length: count }, () => {
            const number = this.number();
            return { number, content: this.bytes(this.byte()) };
        });
    }
    end() {
        if (this.#at !== this.#view.byteLength)
            throw new Malformed("it goes on after its end");
    }
}
/** Writes fields one after the other. */
export class Writer {
    #bytes = [];
    byte(value) {
        this.#bytes.push(value & 0xff);
        return this;
    }
    short(value) {
        return this.byte(value >>> 8).byte(value);
    }
    long(value) {
        return this.short(value >>> 16).short(value);
    }
    number(value) {
        for (; value >= 0x80; value = Math.floor(value / 0x80))
            this.byte((value % 0x80) | 0x80);
        return this.byte(value);
    }
    bytes(value) {
        for (const byte of value)
            this.#bytes.push(byte);
        return this;
    }
    done() {
        return Uint8Array.from(this.#bytes);
    }
}
/** The most letters of one packet. */
export const MAX_LETTERS = 32;
/** The longest name and the longest line of chat, in bytes of UTF-8. */
export const MAX_NAME = 24;
export const MAX_SAID = 200;
/** The beginning of a text that has at most so many bytes, without half a character. */
export function cut(text, most) {
    const bytes = new Uint8Array(most);
    const { written } = new TextEncoder().encodeInto(text, bytes);
    return bytes.subarray(0, written);
}
/** What a player says about itself when it asks to be let in. */
export function hello(name) {
    return new Writer().byte(0).bytes(cut(name, MAX_NAME)).done();
}
export function readWelcome(bytes) {
    const input = new Reader(bytes);
    const welcome = {
        player: input.byte(),
        tickRate: input.byte(),
        shotLife: input.byte(),
        shotEvery: input.byte(),
        shield: input.byte(),
        width: input.short(),
        height: input.short(),
        acceleration: input.short(),
        shotSpeed: input.short(),
        glide: input.short() / 1000,
        bounce: input.short() / 1000,
        shipRadius: input.short(),
        shotRadius: input.short(),
        pillars: Array.from({ length: input.byte() }, () => ({
            x: input.short(),
            y: input.short(),
            radius: input.short(),
        })),
    };
    input.end();
    if (welcome.tickRate === 0)
        throw new Malformed("an arena without time");
    return welcome;
}
/** A packet to the host. */
export function writeInput(number, control, letters) {
    const out = new Writer().long(number).byte(control.right).byte(control.down).short(control.aim);
    out.byte(letters.length);
    for (const letter of letters) {
        out.number(letter.number).byte(letter.content.length).bytes(letter.content);
    }
    return out.done();
}
export function readSnapshot(input) {
    return { tick: input.long(), baseAge: input.number(), input: input.long(), check: input.short() };
}
/** Deeds, as contents of letters. */
export function fire(aim) {
    return new Writer().byte(1).short(aim).done();
}
export function say(text) {
    const bytes = cut(text, MAX_SAID);
    return new Writer().byte(2).byte(bytes.length).bytes(bytes).done();
}
export function readNews(content) {
    const input = new Reader(content);
    const news = readKind(input);
    input.end();
    return news;
}
function readKind(input) {
    const kind = input.byte();
    const player = input.byte();
    switch (kind) {
        case 1: {
            const flags = input.byte();
            return { kind: "joined", player, bot: (flags & 1) !== 0, points: input.short(), name: input.text() };
        }
        case 2:
            return { kind: "left", player };
        case 3:
            return { kind: "burst", by: player, ship: input.byte() };
        case 4:
            return { kind: "said", player, text: input.text() };
        default:
            throw new Malformed("news of an unknown kind");
    }
}
//# sourceMappingURL=wire.js.map