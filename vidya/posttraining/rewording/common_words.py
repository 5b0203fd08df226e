"""Common English words, by which English is known, and what a typing mistake must not become."""

GREETING_WORDS = frozenset(
    """
afternoon again all bye byebye cheers cool day dear evening everyone friend good goodbye
goodnight great greetings hallo hello hey hi hiya hola howdy later morning nice night no nope ok
okay please see sorry sup sure thank thanks there thx welcome wow ya yeah yep yes yo you
""".split()
)
"""Words of which greetings, thanks, farewells and short answers consist."""

FUNCTION_WORDS = frozenset(
    """
about and any are been being best could did do dont favorite favourite from going got have how i
i'm im is know like live love many much my need of old our people please she should some that
the their them there these they thing think this those u ur want were what what's whats when
where where's which who who's why will with would you you're your yourself
""".split()
)
"""Small words of everyday questions that other languages hardly have."""

COMMON_WORDS = frozenset(
    """
ab abc ability able about above abroad abuse ac academic academy accent accents accept accepted
access accident account accounts accurate ace achieve acme across act acting action actions active
activity actor actors acts actual actually ad adam adams adapt add added addicted adding addition
address adjust admire admit adobe adopted adorable ads adult adults advance advanced advice affairs
affect affects afford afraid africa african after again against age agency agenda agent ages agh
ago agree agreed ah ahah ahaha ahead ahh ahha ahhh ahhhh ahve ai aid aight aim air airline airmail
airport ais aisle aka al alan alarm alaska album alcohol alex alexa alfredo algebra alice alien
aliens alike alittle alive all allergic allergy allow allowed allows almond almost alone along alot
already alright also although always am amazed amazing amazon amen america american among amount
amounts amy an analyze anatomy ancient and andrew android andy angel angeles anger angle angry
animal animals anime ankle ann anna anne annoyed annoying annual another answer answers ant anti
anxiety anxious any anybody anymore anyone anything anytime anyway anyways anywhere ap apart app
appeal appear appears apple apples applied apply applying approve apps april ar are area areas
arent argue arizona arm arms army around arrange arrest arrival arrive arrived art article articles
artist artists arts as asd asdf asia asian asians aside ask asked asking asks asleep aspect aspects
assist assume assumed assuming assure at ate atleast atm attach attack attempt attend attitude
audio august aunt author auto autumn avatar avengers avenue average avocado avoid aw awake award
aware away awe awesome awful awfully awhile awkward aww awww az babies baby babysit back backup
bacon bad badly bag baggage bags bake baked baker baking balance balcony bale ball ballet balloon
ballroom balls banana bananas band bands bang banjo bank banking banks banquet bar barbie bare
barely bargain barrier bars base based basement basic basics basis basket bass bat bath bathe
bathroom batman batter battery battle bay bbq bc be beach beaches bean beans bear beard bears beast
beat beating beats beauty became becasue because become becomes becoming becuase bed bedroom beds
bee beef been beer before beg began begin behavior behind beijing being beings beliefs believe bell
below belt ben bench bend benefit benefits beside besides best bet better betty between beyond bias
biased bible bicycle bid big bigger biggest bike bikes biking bill billion bills bin binary bind
binge bingo bio biology bird birds birth birthday bishop bit bitcoin bite black blame blank blanket
blast blend bless blessed blessing blew blind block blocks blog blonde blood blouse blow blowing
blown blows blue board boarding boards boat boating boats bob bodies body bold bolivia bomb bond
bone bones bonus book booked books boom boot booth boots border bored boring born borrow boss
boston bot both bother bots bottle bottles bottom bought boulder bounce bound bout bow bowl bowling
box boxes boxing boy boys braces brain brains brake bran branch brand brandon brands brave brazil
brb bread break breaking breaks breast breath breathe breed breeze brian brick bride bridge brief
bright bring brings briskly britain british bro broad broke broken brook brooke brother brothers
brought brown browser brush brutal btw bubble bubbles bucket bucks buddies buddy budget buffet bug
bugs build building built bummer bun bunch bungee burger burgers burn burned burning burnt burrito
bus buses bush business busy but butt butter button buttons buy buying by bye byu ca cabin cable
cafe cage cake cakes cal calc calculus call called calling calls calm came camera cameras camp
camping campus can canada cancel cancer candy cannot cant canyon cap capable capital caps captain
capture car caramel card cards care cared career careful cares caring carolina carpet carried
carrot carrots carry cars cart cartons cartoon case cases cash cast castle casual cat catch catches
catching catfish cats cattle caught causal cause caused causes causing ccc cd cell cells center
centers central centre cents century ceo cereal certain cgi cha chain chair chairs chance chances
change changed changes changing channel chaos chapter charge charged charges charity charles
charlie chase chat chats chatted chatter chatting cheap cheaper cheat check checked checking checks
cheer cheers cheese cheesy chef chem chen cheques cherry chess chest chew chic chicago chick
chicken chief child children chill chillin chilling chilly china chinese chip chips chit choice
choices choir choose choosing chop chores chorus chose chosen chris christ church cindy cinema
circle cite cities citizen citrus city civil claim claire class classes classic clay clean cleaned
cleaner cleaning clear clearly clerk clever cliche click client clients cliff climate climb climbed
climber climbing climbs clock clone close closed closely closer closes closest closet closing cloth
clothe clothes clothing cloud clouds cloudy clown club clubs clue co coach coast coat coco coconut
code coding coffee coffer coin coins coke cola cold colder collar collect college color colors
colour com combine combined come comedy comes comfort comic comics coming comment commit common
company compare compared compete complain complete complex computer concept concepts concern
concert confirm confused congrats connect consider contact content contest context continue
contract control convert convince convo cook cooked cookie cookies cooking cooks cool cooler
coolest cop copies cops copy core cork corn corner correct corrupt cost costa costco costs costume
cotton couch cough could couldnt count counter country counts county couple couples coupons courage
course courses court cousin cousins cover covered covers cow cows cpu crack crap crappy crash
crashed craving craziest crazy cream creamy create created creates creating creative credit credits
creek creepy crew cried crime cringed crisis crook cross crossed crow crowd crowded crown crucial
cruel cruise crunch crunchy crush crust cry crying cs cultural culture cultures cup cups cure
curious curly currency current curry curse curve customer customs cut cute cutest cuts cutting cuz
cyber cycle dad daddy dads daily dairy dale dallas damage damaged damn dan dance dancer dances
dancing dang danger daniel dare dark darker darling darn data date dated dates dating daughter dave
david day days dc de dead deaf deal dealing deals dear death debate debit debt decade december
decent decide decided decides decision declare deep deeper deeply deer defense define degree
degrees delay delayed delete deliver delivery demand dental dentist deny depend depends deposit
depth describe desert deserve design designed designer designs desire desk desktop despite dessert
destroy detail details detect dev develop device devices devil dew df dial diamond diary dick did
didnt die died diego dies diet dig digital dine dining dinner dip direct directly director dirt
dirty disagree disco discord discount discuss disease dish dishes dislike disney display distance
ditto dive diverse divided diving divorce dizzy dna do doable doctor doctors does doesnt dog dogs
doing doll dollar dollars don donald donate done dont donuts door doors dope dorm dorms dose dot
double doubt dough down download downtown dozen dr draft drag dragon dragons drain drama drank draw
drawing drawn dream dreamed dreams dress dressed dresses dressing drew drink drinking drinks drip
drive driven driver drivers drives driving drone drop dropped drops drove drown drug drugs drunk
dry dual duck ducks dude due duh dull dumb dunno during dust dutch duty dvd dyed dying each ear
earlier early earn earned ears earth ease easier easiest easily east easter eastern easy eat eaten
eating eats ebay econ economic economy ecuador ed edge edgy editing editor educate effect effects
effort efforts efy egg eggs eh eight eighty either elder elderly electric elegant eleven elon else
em email emailed emails embassy emily emoji emojis emory emotion emotions emphasis employee empty
en end ended ending endless ends enemies enemy energy engaged engine engineer england english enjoy
enjoyed enjoying enjoys enough enroll ensure enter entered entire entirely entry envy epic episode
episodes equal equally er era error escape essay essays estate etc eternal ethical ethics europe
eve even evening event events ever every everyday everyone evidence evil ew ex exact exactly exam
example exams excel except exchange excited exciting excuse exercise exist existed exists exit
expand expect expected expenses expert explain explore export express extend extent extinct extra
extreme eye eyes face facebook faces facial facing fact factor factors factory facts fail failed
failing failure fair fairly faith fake fall fallen falling falls false fame familiar families
family famous fan fancy fans fantasy far fare farm farther fashion fast faster fastest fat father
fault fav favor favorite fax fbi fear fears feature features fed federal fee feed feel feeling
feelings feels fees feet fell fellow felt female fence festival fetch fever few fewer fi fiancee
fiction field fields fifteen fifth fifty fight fighting fights figure figured figures figuring fil
file files fill filled filling film films filter fin final finally finals finance find finding
finds fine finger fingers finish finished fire fired firm first fish fishing fit fitness fits
fitting five fix fixed fixing flag flash flat flavor flavors flew flexible flies flight flights
flip flipped float floor floors flop florida flow flower flowers flu fluent fluffy flute fly flying
focus focused fold folk folks follow followed follows fond food foods fool foot football for force
forced forces foreign forest forests forever forget forgive forgot fork form formal former forms
fort forth fortnite fortune forty forward found four fourth fox frame france francis frank frankly
freak freaked freaking freaky fred free freedom freeway freeze freezer freezing french fresh
freshly freshman freshmen friday fridge fried friend friendly friends fries frisbee frog from front
frown frozen fruit fruits fry fu fuel full fully fun function fund funding funds funeral funny fur
further future gain gained gaining galaxy gale gallon game gamer games gaming gang gap garage
garbage garden garlic gas gate gates gather gave gay ge gear geez gender general generals genes
genetic genius genre genres gentle genuine george georgia german germany get gets getting gf ghost
ghosts giant gift gifts ginger girl girls give given gives giving glad glass glasses glitch global
gloves go goal goals goats god gods goes going gold golden golf gone gonna good goodbye goodness
goods google googled goood gorgeous gosh gospel gossip got gotcha gotta gotten gown gpa grab grace
grad grade grades grading graduate graham grain grammar grand grandma grandpa grant granted grape
grapes graphic grass grateful gravity gray great greater greatest greatly greece greek green grew
grill grilled grind grip grocery gross ground group groups grow growing grown grows growth gtg guac
guard guess guessed guessing guest guests guide guilty guitar gum gun guns guy guys gym ha haah
habit habits hack hacking had hadnt hah haha hahaa hahah hahaha hahahaa hahahah hahahaha hahha hail
hair haircut half halfway hall halls ham hand handed handful handle hands handy hang hanging happen
happened happens happier happy hard harder hardest hardly hardware hare harm harry harsh harvard
has hasnt hat hate hated hates hats have havent having hawaii hbu he head headache headed heading
heads heal health healthy hear heard hearing heart heat heating heaven heavenly heavily heavy heck
heels heh hehe hehehe height heights helaman held helen hell hello helmet help helped helpful
helping helps hence henry her here heres heritage hero heroes herself hes hey heyyy hi hidden hide
hiding high higher highest highly highway hike hiked hikes hiking hill hills him himself hint hip
hire hired hiring his history hit hits hitting hm hmm hmmm hmmmm hmong hobbies hobby hockey hoe
hold holder holding hole holiday holidays holland holy home homeless homes homework honda honest
honestly honesty honey hong honor honors hood hook hooked hoot hop hope hoped hopes hoping horn
horns horrible horror horse horses hose hosed hospital host hot hotel hotels hour hours house
houses housing how however hows hr hs huge huh hulu hum human humans humble humid humor hundred
hundreds hung hunger hungry hunt hunting hurry hurt hurting hurts husband hw hymns hype hyped ib
iba ice id idaho idea ideal ideas idk if ignore ii ikr ill illegal illness im image images imagine
impact import improve in inch inches include included includes income incoming increase indeed
india indian indie indoor industry infinity info inform initial injured injury ink inner input
insane insects insert inside insist inspire inspired insta instance instant instead int intend
intense interact interest intern internet into intro invent invest invested invite invited invoice
involve involved ios ipad ipads iphone iphones ireland irish iron ironic is ish island islands isnt
issue issues it italian italy item items its itself ive jack jacket jackson jacob jade jaezo jail
jam james jane janet january japan japanese jar jarvis jason java jazz jealous jeans jeep jeez
jelly jenny jesus jet jewelry jewish jim jimmy jk job jobs joe jogged jogging john johnny johnson
join joined joining joint joke jokes joking jones jordan joseph journey joy jr jsut judge judging
juggle juice juicy julia july jump jumped jumping jumps june jungle junior junk just justice justin
karen kate keen keep keeping keeps kept ketchup kevin key keyboard keys kick kicked kicking kid
kidding kids kill killed killer killing kills kin kind kinda kinds king kingdom kins kiss kissed
kit kitchen kj kk knee knees knew knife knight knock knocked know knowing known knows kong korea
korean koreans kyle la lab label labor labs lack lacking ladder ladies lady lag laid lake lakes
lamb lame land landed landing lane language lap laptop large larger largest las last lasted lasts
late lately later latest latin latter laugh laughed laughing laundry law lawn laws lawyer lay layer
layers laying lazy lds lead leader leaders leading leads league lean leaning learn learned learning
lease least leather leave leaves leaving lecture led lee left leg legal legend legends legit legs
lemme lemon lend length less lesson lessons let lets letter letters letting level levels li liberty
library license lick licks lie lied lies life lift lifting lifts light lighter lightly lights like
liked likely likes liking lil lily lime limit limited limits limp lin lincoln linda line linear
lines link links linux lion lip lips lisa list listed listen listened listens lists lit literal
little liu live lived lives living load loaded loads loan loans lobby lobster local located
location lock locked log logged logic logical logo loin loki lol lolol london lonely long longer
longest look looked looking looks loon loop loose loot lord los lose loser losing loss lost lot
lotion lots lottery loud loudly louse love loved lovely loves loving low lower lowest loyal lucas
luck luckily lucky lucy luggage lunch lung lungs luxury lying lyrics ma mac macbook machine
machines macs mad madam made madrid magazine magic magical mail main mainly maintain major majoring
majority majors make maker makes makeup making male mall man manage managed manager mango mangoes
manner manners manual many map march mare mario mark marked market markets marks marriage married
marry mars martial martin marvel mary mashed mask mass massage massive master masters mat match
matched matches mate material mates math matrix matt matter matters mature max maximum may maya
maybe md mdcrew me meal meals mean meaning means meant measure meat med media medical medicine
medium meet meeting meetings meets meh melt member members meme memes memories memory men mend
mental mention menu merry mess message messages messed messing messy met metal meter meters method
methods mexican mexico michael mid middle midnight midterm midterms might mike mild mile miles
military milk million millions min mind minded minds mindset mine mini minimum minor mins mint
minus minute minutes miracle mirror miss missed missing mission missions mistake mistakes mix mixed
mixing mm mmm mmmm moab mobile mode model models modern mold mom moment moments moms monday money
monica monitor monkey monster montana month monthly months mood moon moose moot moral more mormon
mormons morning most mostly mother mothers motor mount mountain mouse mouth move moved moves movie
movies moving mower mozart mr mrgh mrs ms mtc much mud multi multiple mum murder muscle muscles
museum museums music musical musicals musk must mutual my myself mystery nah nail nails name named
names nancy nap naps narrow naruto nasa nasty natalie nation national nations native natural nature
nba near nearby nearest nearly neat nebraska neck need needed needing needles needs negative
neither nelson nerd nerds nerdy nerve nervous net netflix nets network neural never new newer
newest news next nice nicely nicer nick niece nigeria night nights nine ninety ninja no nobody
noise noisy non none noodles nook noon nooo noooo nope nor normal normally north northern nose not
note notes nothing notice noticed novel novels now nowadays nowhere nuclear number numbers nun
nurse nurses nursing nut nutella nuts ny oakland obama object objects obsessed obvious ocean
october odd odds of off offended offense offer offered offers office officer offices official often
oh ohh ohhh ohhhh ohhhhh ohio oil ok okay old older oldest olive ollie olympic omaha omg on once
one ones onions online only onto oof ooh ooo oooh oooo ooooh oooooh oops open opened opening opens
opera operate opinion opinions opposed opposite option options opts or orange oranges order ordered
orders oregon orem organ organic original other others otter ouch ought our ours out outdoor
outdoors outer outfit output outside oven over overall overseas overtime owe owl own owned owner
owners oxygen pa pace paced pacific pack package packed packing pad page pages paid pain painful
paint painted painting pair paired pairs pal palace pale palm pan panda panic panther pants papa
paper papers pardon pare parent parents paris park parked parker parking parks parrot part parties
partner parts party pass passed passes passing passion passport past pasta paste pat patch patent
path patient pattern paul pause pay paying payment pays pb pc pcc peace peak peanut peanuts pear
peel pegasus pen pencil penny people peoples pepper peppers per percent percy perfect perform
perfume perhaps period periods perks permit person personal persons pest pet peter pets phase phd
phone phones photo photos phrase phrases physical physics piano pick picked picking picky picnic
picture pictures pie piece pieces pig pigs pile pills pin pine ping pink pinky pipe pirates pit
pitch pito pity pixar pizza place placed places plain plan plane planes planet planets planned
planning plans plant plants plastic plate plates platform play played player players playing plays
pleasant please pleased pleasure plenty plot pls plug plus pm pocket poetry point points pokemon
polar police policy polite politics pond pong pool poop poor poorly pop popcorn popped popular pork
port portion position positive possible possibly post posted poster posting posts pot potato
potatoes pots potter pound pounds poverty powder power powerful powers practice pray prayer pre
preach predict prefer premium prep prepare prepared present press pressed pressure pretend pretty
prevent previous price prices pride primary prime print printed printer prints prison privacy
private prize prizes pro probably problem problems probs process produce product products prof
profile profit profits program programs progress project projects prom promise promised promote
prompt prompts proof proper properly property propose props pros protect protein proud prove
provide provo psych public puerto pull pulled pulling pump pumped pumpkin pun punch puns puppies
puppy purchase pure purple purpose purse pursue push pushed pushing put puts putting puzzle puzzles
python qualify quality quantum quarter que queen question queue quick quicker quickly quiet quietly
quit quite quiz quote quotes race races rachel rack rad radio raffle rail rails railway rain rained
raining rains rainy raise raised raising ram ramen ran random randomly rang range rank ranked rap
rare rarely rash rat rate rated rates rather rating rats raw ray re reach reached react read reader
reading reads ready real reality realize realized really reason reasons rebecca rec recall receipt
receive received recent recently recipe recipes record records recover red reddit reduce reduced
refill refresh refund refuse refused regards region register regret regular reign rein relate
related relax relaxed relaxing release relief religion relive rely remain remains remember remind
reminds remote remove removed renew rent rental repair repeat replace reply report reports request
require required requires research reserve reset resort respect respond response rest result
results resume retire retired return returns reunion reverse review reviews reward rib rice rich
richard rick rico rid ride rides riding right rights rind ring rings rio rip ripe ripped rise
rising risk river rn road roads roast roasted robe robert robot robots rock rocket rockets rocks
rode role roles roll rolled roller rolling rolls roman romance romans romantic rome ron roof rook
room roommate rooms root rooted rope rose roses ross rough roughly round rounds route routine row
rude ruff rugby ruin ruined rule rules run rung runner running runs rush russia russian ryan sad
sadie sadly safe safely safer safety said sail sailor saint sake salad salads salary sale sales
sally salmon salsa salt salty sam same sample samples san sand sandals sandwich sandy sang santa
sara sarah sarcasm sat saturday sauce sausage save saved saves saving savings saw say saying says
scale scare scared scares scarlet scary scene scenery scenes scent schedule school schools sci
science scoop score scores scout scouts scratch screen screens screw screwed script scuba sd sdf se
sea seafood seal sear search season seasons seat seats seattle sec second seconds secret secrets
section secure security see seed seeds seeing seek seem seemed seems seen sees seldom select self
selfish sell seller selling sells semester semi seminary send sending sends senior seniors sense
sent sentence sentient separate series serious serve served server servers serves service services
serving session set sets setting settle settled seven seventh seventy several severe sew sex shade
shades shadow shake shall shame shampoo shanghai shape shaped shapes share shared shares sharing
shark sharks sharp shasta shave she sheep sheer sheet sheets shelf shell shes shift shine ship
shipment ships shirt shirts shock shocked shoe shoes shook shoot shooting shop shopping shops shore
short shorter shortly shorts shot shots should show showed shower showers showing showman shown
shows shrimp shroud shut shuttle shy sibling siblings sichuan sick side sides sight sights sign
signal signed signing signs silence silent silicon silk silly silver similar simple simply sin
since sing singer singing single sings sink sip sir siri sister sisters sit site sites sitting six
sixth sixty size sized sizes skating sketch sketchy ski skiing skill skills skin skinny skip
skipped skirt skirts sky slack sleep sleeping sleepy slept slide slides slightly slim slip slipped
slit slop slot slow slower slowly small smaller smart smarter smash smell smells smile smith smoke
smoker smoking smooth snack snacks snake snakes snap snow so soap soccer social society socks soda
soft software solar sold sole solid solo solution solve solved solving some somebody someday
somehow someone sometime somewhat son song songs sons soo soon sooner sooo soooo sooooo soot sore
sorry sort sorta sorts sot soul souls sound sounded sounds soup sour source sources south southern
space spaces spain spam spanish spare spark speak speaker speaking speaks special species specific
speech speed spell spelled spelling spend spending spends spent spicy spider spiders spin spirit
spirits spit split spoil spoiled spoke spoken sport sports spot spotify spots spouse spray spread
spring square st stable stack staff stage stairs stake stamps stand standard standing stands star
staring stark stars start started starter starting starts state states station stats status stay
stayed staying stays steady steak steaks steal steam steel steep stem step steps steve steven stick
sticks sticky still stink stinks stir stock stocks stoked stole stolen stomach stone stones stood
stop stopped stops storage store stores stories storm story stove straight strange stranger straw
straws stream street streets strength stress stressed stretch strict strike string strings strip
stroke strong stronger struggle stuck student students studied studies studio study studying stuff
stuffed stupid style styles sub subject subjects subway succeed success such suck sucked sucks
sudden suddenly sue sued suffer sugar suggest suicide suit suite suits sum summer summers sun
sunday sundays sung sunny sunset sup super supply support suppose supposed supreme sure surely surf
surface surfing surgeon surgery surprise survey survive susan sushi swam swat swear sweat sweater
sweaty sweden sweet sweets swift swim swimming swing switch switched sword sydney system systems ta
tab table tables tablet tablets tabs taco tacos tag tail taiwan take taken takes taking tale talent
talented talents talk talked talking talks tall taller talmage tan tank tap tape tar target tars
tas task tasks taste tasted tastes tasty taught tax taxes taxi taylor tbh tea teach teacher
teachers teaches teaching team teams tear tears tech ted tedious teeth teh tell telling tells
temple temples ten tend tends tennis term terms terrible terribly tesla test tested testing tests
texas text texting texts texture th thai thailand than thane thank thanks thanos that thats the
theater theatre their theirs them theme then theories theory therapy there theres these they theyre
thick thin thing things think thinking thinks third thirsty thirty this tho thomas thor those
though thought thoughts thousand three threw throat through throw throwing thrown throws thumb
thursday thus ticket tickets tie tied ties tiger tight til till tim time times timing tin tiny tip
tips tired tires titan tithing title to toady toast today toe toes tofu together toilet tokyo told
tom tomato tomorrow ton tone tones tongue tonight tons tony too took tool tools tooth top topic
topics tops tornado total totally touch touched tough tour tourist toward towards towel tower town
toy toys track tracks trade trading traffic trail trailer train trained trainer training trains
trait traits transfer trap trapped trash travel traveled treat treated treats tree trees trek trend
trial trick tricks tricky tried tries trilogy trim trip trips trouble truck true truffles truly
trump trumpet trust truth try trying tube tuesday tuition tuna tune turing turkey turn turned
turning turns turtles tutor tv twelve twenty twice twin twins twist twitter two tyler type typed
types typical typing typos uber ugh ugly uh uhh uhhh uhm ukulele ultimate um umm ummm un unable
uncle uncles under unfair unhappy unicorn unicorns union unique unit united units universe unknown
unless unlike until unusual up update updated updates upgrade upon upper ups upset upside ur urgent
us usa usd use used useful useless user username users uses using usual usually ut utah uvu ux
vacant vacation vague valid valley value values van vanilla variety various vast vat vegan vegas
veggies vehicle vending venture version very vfx via vibe vice video videos vietnam view views
village vine violin virginia virtual virus viruses visa vision visit visited visiting visual vocal
voice volume vote voted voting vr vs waffles wage waist wait waited waiter waiting wakanda wake
waking walk walked walking walks wall wallet walls walmart waltz wand wands wang wanna want wanted
wanting wants war ward ware warm warmer warming warn warning wars wart was wash washed washing
wasnt waste wasted wasting watch watched watches watching water wave waved waves way ways wbu we
weak wealth wealthy weapons wear wearing wears weather web website websites wedding week weekend
weekends weekly weeks weigh weight weights weird welcome well went were werent west western wet
whale whales what whatever whatnot whats wheat wheel wheels when whenever where whereas whether
which while white who whoa whoever whole whom whoops whos whose why wicked wide wife wifi wii wild
will willing wilson win wind window windows windy wine wings winner winning wins winter winters
wipe wire wisdom wise wish wished wishes witch with withdraw within without witty woah woke wolf
woman women won wonder wondered wonders wonk wont woo wood wooden woods wool woot word words wore
work worked worker workers working workout works world worlds worm worn worried worries worry
worrying worse worst worth worthy would wouldnt wow wrap wrapped wrist write writer writers writes
writing written wrong wrote xbox xd ya yah yall yard yay yea yeah yeahhh year yearly years yellow
yep yes yess yesss yessss yet yikes yknow yo yoga yogurt york you youd youll young younger youngest
your youre yours yourself youth youtube youve yuan yum yummy yup zac zealand zero zhang zina zip
zombie zombies zone zoo
""".split()
)
"""The most frequent words of two to eight letters in everyday talk, and some that are one typing
mistake away from others."""
