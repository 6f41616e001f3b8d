"""Detect the language of a text by its script, and by its most common words where languages share a script.

Libraries for this task have 5 MB (langid) to 96 MB (lingua) and always give an answer. Here the language is needed for
the report only, and should be left out if it is not clear.
"""

from __future__ import annotations

import re
from collections import Counter

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
#: Scripts without spaces between words (Han and kana), as the inside of a character class.
UNSPACED = _HAN + _KANA
#: {script: (its characters, the only or main language written in it, or ``None``)}.
_SCRIPTS: dict[str, tuple[str, str | None]] = {
    "kana": (_KANA, "ja"),
    "han": (_HAN, "zh"),
    "hangul": ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7af", "ko"),
    "latin": ("A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff", None),
    "cyrillic": ("\u0400-\u04ff", None),
    "arabic": ("\u0620-\u06ff\u0750-\u077f", None),
    "greek": ("\u0370-\u03ff\u1f00-\u1fff", "el"),
    "hebrew": ("\u05d0-\u05ea", "he"),
    "devanagari": ("\u0900-\u097f", "hi"),
    "bengali": ("\u0980-\u09ff", "bn"),
    "tamil": ("\u0b80-\u0bff", "ta"),
    "telugu": ("\u0c00-\u0c7f", "te"),
    "thai": ("\u0e00-\u0e7f", "th"),
    "georgian": ("\u10a0-\u10ff", "ka"),
    "armenian": ("\u0530-\u058f", "hy"),
}
_LETTERS = {name: re.compile(f"[{inside}]") for name, (inside, _) in _SCRIPTS.items()}
#: Approximate number of letters per word in an alphabet. One Han character weighs as much.
_WORD_LENGTH = 4
#: Share of kana among kana and Han from which a text is Japanese.
_JAPANESE = 0.1
_COMMON: dict[str, dict[str, str]] = {
    "latin": {
        "en": "the and you that this is are was what with have not it's i'm don't of to my for he she we they do your "
        "can me know just but like be i it so how no yeah oh hey",
        "de": "der die das und ich nicht ist du wir ein eine mit auf sie zu was es auch den dem wie aber mir mich ja "
        "nein bin hast haben sind noch schon doch kann dich dir",
        "fr": "le la les et je ne pas est vous nous un une des que qui dans pour c'est j'ai tu il elle mais avec sur "
        "ça moi oui non suis ai au du ce mon ma très tout",
        "es": "el la los las y no que es en un una por qué está lo se con para mi pero como yo tú muy sí eso esto "
        "estoy más del al te me nos hay bien",
        "pt": "o a os as e não que é em um uma por está do da se com para mas eu você muito sim isso meu minha ele ela "
        "mais foi ao na no são tem estou",
        "it": "il la gli le e non che è di un una per sono con mi ma come ti sì questo io lui lei anche più molto cosa "
        "del della ho hai ha siamo perché",
        "nl": "de het een en ik niet is je dat van we zijn wat met op voor maar ze er ben heb hij jij hebt ook nog wel "
        "naar mijn nee ja geen",
        "sv": "och jag är inte det att en du vi som på för med har den men han hon vad var mig dig till kan ett ja nej",
        "da": "og jeg er ikke det at en du vi som på for med har den men han hun hvad var mig dig til kan et ja nej af",
        "nb": "og jeg er ikke det at en du vi som på for med har den men han hun hva var meg deg til kan et ja nei av",
        "fi": "ja ei on se että en minä sinä hän mitä olen mutta niin kun oli me ole joka sen nyt vain tämä mikä",
        "pl": "i nie w na się to jest że z co jak ja ty do tak ale mnie mi jestem czy już dla są był po od tego",
        "cs": "a je se na to že v jsem co jak ale ne ty já mi si tak s do by jsi jsme už pro když není",
        "ro": "și nu în este un o că ce la cu pe sunt mai eu tu din pentru dar am ai asta da să se lui",
        "hu": "a az és nem hogy egy is van ez én te mit de meg csak igen ha vagyok volt már most jól",
        "tr": "ve bir bu ne için değil ben sen o mi de da çok var yok ama evet hayır gibi daha benim seni bana",
        "id": "yang dan di itu ini tidak aku kamu saya dengan untuk ada akan dari ke bisa apa kita mereka sudah",
        "vi": "tôi là không và của có cái này anh em một cho đã được người với những bạn đi trong thì mà",
    },
    "cyrillic": {
        "ru": "и не на что я он она с как это ты мы вы но да нет так все за меня мне было только еще бы у же по",
        "uk": "і не на що я він вона з як це ти ми ви але так ні все за мене мені було тільки ще у та є",
        "bg": "и не на че аз той тя с как това ти ние но да няма така за ме ми беше само още ще е са се от съм",
        "sr": "и не на да ја он она са како то ти ми ви али шта није све за ме је сам си од у су се",
    },
    "arabic": {
        "ar": "من في على ما هذا لا أن إلى هو أنا هل كل مع كان هي يا عن لم ذلك قد",
        "fa": "و در به از که این را با است من تو برای آن چه یک نه ما هم می شما",
        "ur": "اور کے میں کی ہے کا سے کو یہ نہیں ہیں نے پر تم آپ کیا وہ بھی تھا ہو",
    },
}
#: The codes of ISO 639-1.
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st "
    "su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
#: {ISO 639-2 or obsolete code, as stored in files: ISO 639-1 code}.
_TWO_LETTERS = {
    "eng": "en", "chi": "zh", "zho": "zh", "jpn": "ja", "kor": "ko", "ger": "de", "deu": "de", "fre": "fr", "fra": "fr",
    "spa": "es", "por": "pt", "ita": "it", "dut": "nl", "nld": "nl", "swe": "sv", "dan": "da", "nor": "nb", "nob": "nb",
    "fin": "fi", "pol": "pl", "cze": "cs", "ces": "cs", "rum": "ro", "ron": "ro", "hun": "hu", "tur": "tr", "ind": "id",
    "vie": "vi", "rus": "ru", "ukr": "uk", "bul": "bg", "srp": "sr", "ara": "ar", "per": "fa", "fas": "fa", "urd": "ur",
    "gre": "el", "ell": "el", "heb": "he", "hin": "hi", "ben": "bn", "tam": "ta", "tel": "te", "tha": "th",
    "slo": "sk", "slk": "sk", "slv": "sl", "hrv": "hr", "may": "ms", "msa": "ms", "tgl": "tl", "fil": "tl", "cat": "ca",
    "baq": "eu", "eus": "eu", "glg": "gl", "ice": "is", "isl": "is", "est": "et", "lav": "lv", "lit": "lt", "swa": "sw",
    "cmn": "zh", "iw": "he",
}  # fmt: skip
_NAMED = {
    "en": "english", "de": "german deutsch", "fr": "french français francais", "pt": "portuguese português brazilian",
    "es": "spanish español espanol castellano latino", "it": "italian italiano", "nl": "dutch nederlands",
    "sv": "swedish svenska", "da": "danish dansk", "nb": "norwegian norsk", "fi": "finnish suomi",
    "pl": "polish polski", "cs": "czech čeština", "sk": "slovak", "sl": "slovenian", "hr": "croatian",
    "ro": "romanian română", "hu": "hungarian magyar", "tr": "turkish türkçe", "id": "indonesian", "ms": "malay",
    "vi": "vietnamese", "tl": "tagalog filipino", "ru": "russian русский", "uk": "ukrainian українська",
    "bg": "bulgarian", "sr": "serbian", "ar": "arabic العربية", "fa": "persian farsi", "ur": "urdu", "el": "greek",
    "he": "hebrew", "hi": "hindi", "bn": "bengali", "ta": "tamil", "te": "telugu", "th": "thai", "ca": "catalan",
    "eu": "basque", "gl": "galician", "is": "icelandic", "et": "estonian", "lv": "latvian", "lt": "lithuanian",
    "sw": "swahili", "yue": "cantonese",
    "zh": "chinese mandarin 中文 简体 繁體 繁体 简体中文 繁體中文 繁体中文 简中 繁中 chs cht",
    "ja": "japanese 日本語", "ko": "korean 한국어",
}  # fmt: skip
#: {name of a language, as used in file names: code}.
NAMES = {name: code for code, names in _NAMED.items() for name in names.split()}
#: Codes that count as a language in file names.
CODES = frozenset(_ISO_639_1.split()) | _TWO_LETTERS.keys() | set(_NAMED)
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LISTS = {script: {code: frozenset(words.split()) for code, words in each.items()} for script, each in _COMMON.items()}


def language_of(text: str) -> str | None:
    """Return the main language of a text as an ISO 639-1 code, or ``None`` if it is not clear.

    Example:
        >>> language_of("I don't know what you mean."), language_of("我不知道你 OK 不 OK"), language_of("知らないよ")
        ('en', 'zh', 'ja')
        >>> language_of("Ja, nein, vielleicht... das ist nicht so einfach"), language_of("Hmm, okay, 42!") is None
        ('de', True)
    """
    weights = Counter({name: len(pattern.findall(text)) for name, pattern in _LETTERS.items()})
    kana, han = weights["kana"], weights["han"]
    for name in weights.keys() - {"kana", "han", "hangul"}:
        weights[name] //= _WORD_LENGTH
    weights["kana" if kana and kana >= _JAPANESE * (kana + han) else "han"] = kana + han
    script, weight = max(weights.items(), key=lambda pair: pair[1])
    if not weight:
        return None
    return _SCRIPTS[script][1] or _by_common_words(text, script)


def short_code(code: str) -> str | None:
    """Shorten a language code to two letters if ISO 639-1 has a code for it; ``None`` if it stands for no language.

    Example:
        >>> short_code("eng"), short_code("zh-CN"), short_code("yue"), short_code("und")
        ('en', 'zh', 'yue', None)
    """
    found = re.match("[a-z]{2,3}(?=$|[-_])", code.lower())
    return None if found is None or found[0] in ("und", "mul", "zxx") else _TWO_LETTERS.get(found[0], found[0])


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script without spaces between words, or to its punctuation."""
    return re.fullmatch(f"[{UNSPACED}\u3001-\u303f\uff01-\uff0f\uff1a-\uff1f]", character) is not None


def _by_common_words(text: str, script: str) -> str | None:
    """Return the language of a script whose common words are most frequent in a text; ``None`` without a clear lead."""
    words = Counter(word.replace("’", "'") for word in _TOKEN.findall(text.lower()))
    scores = {code: sum(words[w] for w in common) for code, common in _LISTS[script].items()}
    first, second = sorted(scores, key=lambda code: -scores[code])[:2]
    ours, theirs = _LISTS[script][first], _LISTS[script][second]
    lead, against = sum(words[w] for w in ours - theirs), sum(words[w] for w in theirs - ours)
    enough = scores[first] >= 2 and scores[first] >= 0.1 * words.total()
    return first if enough and lead >= 1.5 * against and lead else None
