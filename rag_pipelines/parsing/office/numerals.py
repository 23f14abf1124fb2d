"""The numbers in front of list items and headings, in the numerals and letters that office programs count in.

What belongs here: one number in one format, named as in ST_NumberFormat (ECMA-376 part 1, 17.18.59). What
does not: counting, and what stands around a number (each format's numbering).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщыэюя"
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_HEBREW = "אבגדהוזחטיכלמנסעפצקרשת"
_HEBREW_VALUES = dict(zip(_HEBREW, (*range(1, 10), *range(10, 100, 10), 100, 200, 300, 400), strict=True))
_ARABIC_ALPHABET = "أبتثجحخدذرزسشصضطظعغفقكلمنهوي"
_ARABIC_ABJAD = "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ"
_THAI = "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"
_HINDI_CONSONANTS = "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह"
_HINDI_VOWELS = "अआइईउऊऋऌऍऎएऐऑऒओऔअंअः"
_GANADA = "가나다라마바사아자차카타파하"
_CHOSUNG = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_STEMS = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES = "子丑寅卯辰巳午未申酉戌亥"

_COUNTING = ("〇一二三四五六七八九", "十百千", "万")
_COUNTING_TRADITIONAL = ("〇一二三四五六七八九", "十百千", "萬")
_LEGAL_SIMPLIFIED = ("零壹贰叁肆伍陆柒捌玖", "拾佰仟", "万")
_LEGAL_TRADITIONAL = ("零壹貳參肆伍陸柒捌玖", "拾佰仟", "萬")
_LEGAL_JAPANESE = ("〇壱弐参四伍六七八九", "拾百阡", "萬")
_HANGUL = ("영일이삼사오육칠팔구", "십백천", "만")
_KOREAN_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
_KOREAN_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_REPEATS = 10
"""A letter stands at most so often for a number beyond its alphabet: nobody reads a longer one."""


def numeral(number: int, style: str) -> str:
    """`number` as `style` writes it; as decimal digits where the style is not known or does not reach it.

    A style may also be a picture of its first numbers, such as ``001, 002, 003, ...`` (17.9.17).
    """
    if style.startswith("0"):
        return f"{number:0{min(len(style.partition(',')[0]), _REPEATS)}d}"
    write = _STYLES.get(style)
    return (write(number) if write is not None and number > 0 else "") or str(number)


def _repeating(alphabet: str) -> Callable[[int], str]:
    """a, b, ..., z, aa, bb, ..."""

    def write(number: int) -> str:
        turns, place = divmod(number - 1, len(alphabet))
        return alphabet[place] * min(1 + turns, _REPEATS)

    return write


def _cycling(alphabet: str) -> Callable[[int], str]:
    return lambda number: alphabet[(number - 1) % len(alphabet)]


def _digits(zero: str) -> Callable[[int], str]:
    """Decimal digits of another script, given by its zero."""
    return lambda number: "".join(chr(ord(zero) + int(digit)) for digit in str(number))


def _ideograph_digits(digits: str) -> Callable[[int], str]:
    return lambda number: "".join(digits[int(digit)] for digit in str(number))


def _enclosed(first: str, last: int, form: str) -> Callable[[int], str]:
    """Enclosed numbers from `first` on, as far as Unicode has them, then in the `form` of plain text."""
    return lambda number: chr(ord(first) + number - 1) if number <= last else form.format(number)


def _ideographs(
    system: tuple[str, str, str], *, bare_ten: bool = True, bare_units: bool = False, zeros: bool = True
) -> Callable[[int], str]:
    """Chinese, Japanese and Korean counting: 二十三.

    `bare_ten` leaves out the one of ten to nineteen, `bare_units` that of every ten, hundred and thousand;
    `zeros` writes one for the places that are skipped (一百〇五).
    """
    digits, units, myriad = system

    def group(number: int) -> str:
        text = ""
        skipped = False
        for power in (3, 2, 1, 0):
            digit = number // 10**power % 10
            if digit == 0:
                skipped = bool(text)
                continue
            if skipped and zeros:
                text += digits[0]
            skipped = False
            one = "" if digit == 1 and power and bare_units else digits[digit]
            text += one + (units[power - 1] if power else "")
        return text

    def write(number: int) -> str:
        if number >= 10**8:
            return ""
        above, rest = divmod(number, 10**4)
        text = (group(above) + myriad if above else "") + (
            digits[0] if above and zeros and 0 < rest < 1000 else ""
        )
        text += group(rest)
        ten = digits[1] + units[0]
        return text[1:] if bare_ten and number < 20 and text.startswith(ten) else text

    return write


def _roman(number: int) -> str:
    if number >= 4000:
        return ""
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


def _hebrew(number: int) -> str:
    """The number as a sum of letters; 15 and 16 as 9 and 6 or 7, which is not a name of God."""
    if number >= 1000:
        return ""
    text = ""
    for letter, value in reversed(_HEBREW_VALUES.items()):
        if number in (15, 16):
            return text + "ט" + _HEBREW[number - 10]
        text += letter * (number // value)
        number %= value
    return text


def _korean(number: int) -> str:
    return _KOREAN_TENS[number // 10] + _KOREAN_ONES[number % 10] if number < 100 else ""


def _cardinal(number: int) -> str:
    """In English words, below a million."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens = _TENS[number // 10 - 2]
        return f"{tens}-{_SMALL[number % 10]}" if number % 10 else tens
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if size <= number < size * 1000:
            rest = f" {_cardinal(number % size)}" if number % size else ""
            return f"{_cardinal(number // size)} {name}{rest}"
    return ""


def _ordinal_words(number: int) -> str:
    words = _cardinal(number)
    head, last = words[: -len(words.replace("-", " ").split(" ")[-1])], words.replace("-", " ").split(" ")[-1]
    if last in _ORDINALS:
        return head + _ORDINALS[last]
    return words and head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _upper(write: Callable[[int], str]) -> Callable[[int], str]:
    return lambda number: write(number).upper()


def _capital(write: Callable[[int], str]) -> Callable[[int], str]:
    return lambda number: write(number).capitalize()


_STYLES: Final[dict[str, Callable[[int], str]]] = {
    "decimalZero": "{:02d}".format,
    "lowerLetter": _repeating(_LATIN),
    "upperLetter": _upper(_repeating(_LATIN)),
    "lowerRoman": _roman,
    "upperRoman": _upper(_roman),
    "ordinal": _ordinal,
    "cardinalText": _capital(_cardinal),
    "ordinalText": _capital(_ordinal_words),
    "hex": "{:X}".format,
    "numberInDash": "- {} -".format,
    "chicago": _repeating("*†‡§"),
    "lowerGreek": _repeating(_GREEK),
    "upperGreek": _upper(_repeating(_GREEK)),
    "russianLower": _repeating(_RUSSIAN),
    "russianUpper": _upper(_repeating(_RUSSIAN)),
    "hebrew1": _hebrew,
    "hebrew2": _repeating(_HEBREW),
    "arabicAlpha": _repeating(_ARABIC_ALPHABET),
    "arabicAbjad": _repeating(_ARABIC_ABJAD),
    "thaiLetters": _repeating(_THAI),
    "thaiNumbers": _digits("๐"),
    "hindiNumbers": _digits("०"),
    "hindiConsonants": _repeating(_HINDI_CONSONANTS),
    "hindiVowels": _repeating(_HINDI_VOWELS),
    "arabicIndic": _digits("\u0660"),
    "decimalFullWidth": _digits("０"),
    "decimalFullWidth2": _digits("０"),
    "decimalEnclosedCircle": _enclosed("①", 20, "({})"),
    "decimalEnclosedCircleChinese": _enclosed("①", 20, "({})"),
    "decimalEnclosedFullstop": _enclosed("⒈", 20, "{}."),
    "decimalEnclosedParen": _enclosed("⑴", 20, "({})"),
    "ideographEnclosedCircle": _enclosed("㊀", 10, "({})"),
    "chineseCounting": _ideographs(_COUNTING, zeros=False),
    "chineseCountingThousand": _ideographs(_COUNTING),
    "chineseLegalSimplified": _ideographs(_LEGAL_SIMPLIFIED, bare_ten=False),
    "taiwaneseCounting": _ideographs(_COUNTING_TRADITIONAL, zeros=False),
    "taiwaneseCountingThousand": _ideographs(_COUNTING_TRADITIONAL),
    "taiwaneseDigital": _ideograph_digits("○一二三四五六七八九"),
    "ideographLegalTraditional": _ideographs(_LEGAL_TRADITIONAL, bare_ten=False),
    "ideographDigital": _ideograph_digits("〇一二三四五六七八九"),
    "japaneseCounting": _ideographs(_COUNTING, bare_units=True, zeros=False),
    "japaneseDigitalTenThousand": _ideograph_digits("〇一二三四五六七八九"),
    "japaneseLegal": _ideographs(_LEGAL_JAPANESE, bare_ten=False, zeros=False),
    "koreanDigital": _ideograph_digits("영일이삼사오육칠팔구"),
    "koreanDigital2": _ideograph_digits("零一二三四五六七八九"),
    "koreanCounting": _ideographs(_HANGUL, bare_units=True, zeros=False),
    "koreanLegal": _korean,
    "ganada": _repeating(_GANADA),
    "chosung": _repeating(_CHOSUNG),
    "aiueo": _repeating(_AIUEO),
    "aiueoFullWidth": _repeating(_AIUEO),
    "iroha": _repeating(_IROHA),
    "irohaFullWidth": _repeating(_IROHA),
    "ideographTraditional": _cycling(_STEMS),
    "ideographZodiac": _cycling(_BRANCHES),
    "ideographZodiacTraditional": lambda number: _cycling(_STEMS)(number) + _cycling(_BRANCHES)(number),
}
